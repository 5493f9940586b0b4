-- A store as version 3 of the schema was: attempts, points and readings.
CREATE TABLE run( id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL, state TEXT NOT NULL CHECK(state IN ('running','complete','interrupted')), plan TEXT NOT NULL, manifest TEXT NOT NULL, uid TEXT NOT NULL DEFAULT '', imported INTEGER NOT NULL DEFAULT 0);
CREATE TABLE variant( run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL, engine TEXT NOT NULL, precision TEXT NOT NULL, about TEXT NOT NULL, unavailable TEXT, engine_version TEXT NOT NULL DEFAULT '', stands_on TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', PRIMARY KEY(run, position)) WITHOUT ROWID;
CREATE TABLE process( id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, block INTEGER NOT NULL, position INTEGER NOT NULL, variant INTEGER NOT NULL, failure TEXT, log_tail TEXT, spawned_ns INTEGER NOT NULL, hello_ns INTEGER NOT NULL, load_asked_ns INTEGER NOT NULL, load_ready_ns INTEGER NOT NULL, weight_bytes INTEGER NOT NULL, kv_token_bytes INTEGER NOT NULL, embedding_bytes INTEGER NOT NULL, threads INTEGER NOT NULL, precision TEXT NOT NULL, cold_asked_ns INTEGER NOT NULL, cold_prompt_ns INTEGER NOT NULL, cold_first_ns INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, prompt_ns INTEGER NOT NULL, warmup_steps INTEGER NOT NULL, memory_before INTEGER NOT NULL, memory_loaded INTEGER NOT NULL, memory_peak INTEGER NOT NULL, device_before INTEGER NOT NULL, device_loaded INTEGER NOT NULL, device_peak INTEGER NOT NULL, memory_method TEXT NOT NULL, bandwidth REAL NOT NULL, load_average REAL NOT NULL, attempt INTEGER NOT NULL DEFAULT 0, point INTEGER NOT NULL DEFAULT 0, FOREIGN KEY(run, variant) REFERENCES variant(run, position) ON DELETE CASCADE);
CREATE INDEX process_of_run ON process(run);
CREATE TABLE phase( process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, PRIMARY KEY(process, position)) WITHOUT ROWID;
CREATE TABLE token( process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE, step INTEGER NOT NULL, id INTEGER NOT NULL, stamp_ns INTEGER NOT NULL, PRIMARY KEY(process, step)) WITHOUT ROWID;
CREATE TABLE room(filler BLOB);
CREATE UNIQUE INDEX run_uid ON run(uid);
CREATE TABLE reading( process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY(process, name)) WITHOUT ROWID;
INSERT INTO run VALUES(3, '2026-01-31T12:00:00Z', 'complete', '{"blocks":1}', '{"machine":{}}', '0123456789abcdef0123456789abcdef', 0);
INSERT INTO run VALUES(5, '2026-02-01T12:00:00Z', 'interrupted', '{}', '{}', 'fedcba9876543210fedcba9876543210', 0);
INSERT INTO variant VALUES(3, 0, 'a-f32', 'A', 'a', 'float32', 'plain', NULL, '1.2', 'libc', 'avx2');
INSERT INTO process VALUES(7, 3, 0, 0, 0, NULL, NULL, 1, 2, 3, 12, 1000, 16, 0, 2, 'float32', 13, 14, 50, 4, 90, 0, 10, 20, 30, -1, -1, -1, 'PSS', 1.5, 0.25, 0, 0);
INSERT INTO phase VALUES(7, 0, 'read', 5, 9);
INSERT INTO token VALUES(7, 0, 41, 100);
INSERT INTO token VALUES(7, 1, 42, 200);
PRAGMA user_version = 3;
