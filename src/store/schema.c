#include "store/schema.h"

#include <sqlite3.h>
#include <stdio.h>

#include "store/sql.h"

static const char version_1[] =
    "CREATE TABLE run("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, created TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK(state IN ('running','complete','interrupted')),"
    " plan TEXT NOT NULL, manifest TEXT NOT NULL);"
    "CREATE TABLE variant("
    " run INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE, position INTEGER NOT NULL,"
    " name TEXT NOT NULL, title TEXT NOT NULL, engine TEXT NOT NULL, precision TEXT NOT NULL,"
    " about TEXT NOT NULL, unavailable TEXT,"
    " engine_version TEXT NOT NULL DEFAULT '', stands_on TEXT NOT NULL DEFAULT '',"
    " detail TEXT NOT NULL DEFAULT '',"
    " PRIMARY KEY(run, position)) WITHOUT ROWID;"
    "CREATE TABLE process("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, block INTEGER NOT NULL,"
    " position INTEGER NOT NULL, variant INTEGER NOT NULL, failure TEXT, log_tail TEXT,"
    " spawned_ns INTEGER NOT NULL, hello_ns INTEGER NOT NULL, load_asked_ns INTEGER NOT NULL,"
    " load_ready_ns INTEGER NOT NULL, weight_bytes INTEGER NOT NULL,"
    " kv_token_bytes INTEGER NOT NULL, embedding_bytes INTEGER NOT NULL,"
    " threads INTEGER NOT NULL, precision TEXT NOT NULL, cold_asked_ns INTEGER NOT NULL,"
    " cold_prompt_ns INTEGER NOT NULL, cold_first_ns INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, prompt_ns INTEGER NOT NULL, warmup_steps INTEGER NOT NULL,"
    " memory_before INTEGER NOT NULL, memory_loaded INTEGER NOT NULL,"
    " memory_peak INTEGER NOT NULL, device_before INTEGER NOT NULL,"
    " device_loaded INTEGER NOT NULL, device_peak INTEGER NOT NULL, memory_method TEXT NOT NULL,"
    " bandwidth REAL NOT NULL, load_average REAL NOT NULL,"
    " FOREIGN KEY(run, variant) REFERENCES variant(run, position) ON DELETE CASCADE);"
    "CREATE INDEX process_of_run ON process(run);"
    "CREATE TABLE phase("
    " process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
    " position INTEGER NOT NULL, name TEXT NOT NULL, start_ns INTEGER NOT NULL,"
    " end_ns INTEGER NOT NULL, PRIMARY KEY(process, position)) WITHOUT ROWID;"
    "CREATE TABLE token("
    " process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
    " step INTEGER NOT NULL, id INTEGER NOT NULL, stamp_ns INTEGER NOT NULL,"
    " PRIMARY KEY(process, step)) WITHOUT ROWID;"
    /* What store_open writes to and removes from, to find a full disk before a run does. */
    "CREATE TABLE room(filler BLOB);";

/* A run's name for ever, wherever it is imported; runs of version 1 get one here. Imported runs are
 * told apart because none may be gone on with on another machine. */
static const char version_2[] = "ALTER TABLE run ADD COLUMN uid TEXT NOT NULL DEFAULT '';"
                                "ALTER TABLE run ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;"
                                "UPDATE run SET uid = lower(hex(randomblob(16)));"
                                "CREATE UNIQUE INDEX run_uid ON run(uid);";

/* Blocks that were done again, points beside the run's own, and what the machine did meanwhile. */
static const char version_3[] =
    "ALTER TABLE process ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE process ADD COLUMN point INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE reading("
    " process INTEGER NOT NULL REFERENCES process(id) ON DELETE CASCADE,"
    " name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY(process, name)) WITHOUT ROWID;";

/* What the equivalence gate found; runs of earlier versions had none. */
static const char version_4[] =
    "CREATE TABLE equivalence("
    " run INTEGER NOT NULL, variant INTEGER NOT NULL, precision TEXT NOT NULL, why TEXT,"
    " positions INTEGER NOT NULL, broken INTEGER NOT NULL, agreeing INTEGER NOT NULL,"
    " kl_mean REAL NOT NULL, kl_most REAL NOT NULL, kl_bound REAL NOT NULL,"
    " error_most REAL NOT NULL, error_bound REAL NOT NULL, first INTEGER NOT NULL,"
    " first_margin REAL NOT NULL, greedy_ids INTEGER NOT NULL, greedy_worst INTEGER NOT NULL,"
    " greedy_margin REAL NOT NULL, PRIMARY KEY(run, variant),"
    " FOREIGN KEY(run, variant) REFERENCES variant(run, position) ON DELETE CASCADE)"
    " WITHOUT ROWID;";

/* Engines that tell probabilities of some ids; until then, none was asked. */
static const char version_5[] =
    "ALTER TABLE equivalence ADD COLUMN told INTEGER NOT NULL DEFAULT 0;";

/* scripts[n] leads from version n to n + 1. */
static const char *const scripts[] = {version_1, version_2, version_3, version_4, version_5};
enum { VERSION = sizeof scripts / sizeof scripts[0] };

static enum status version_read(sqlite3 *db, int64_t *version, bool *empty, struct error *err)
{
    enum status status = sql_integer(db, "PRAGMA user_version", version, err);
    int64_t tables = 0;
    if (!status)
        status = sql_integer(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
    *empty = tables == 0;
    return status;
}

/* What stands in the way of using a file of that version; an empty one is fine. */
static enum status refuse(int64_t version, bool empty, const char *path, struct error *err)
{
    if (version > VERSION) {
        error_set(err, STATUS_UNSUPPORTED, "the results were written by a newer version of Prony");
        error_where(err, "%s", path);
        return error_remedy(err, "Use that version, or another file with PRONY_STORE=FILE.");
    }
    if (version < 0 || (version == 0 && !empty)) {
        error_set(err, STATUS_FORMAT, "this database is not Prony's");
        error_where(err, "%s", path);
        return error_remedy(err, "Name another file with PRONY_STORE=FILE.");
    }
    return STATUS_OK;
}

enum status schema_check(sqlite3 *db, const char *path, bool *older, struct error *err)
{
    int64_t version = 0;
    bool empty = false;
    enum status status = version_read(db, &version, &empty, err);
    if (!status)
        status = refuse(version, empty, path, err);
    if (!status && version == 0) {
        error_set(err, STATUS_NOT_FOUND, "no run is stored yet: the file is empty");
        error_where(err, "%s", path);
        return error_remedy(err, "'prony bench' fills it; PRONY_STORE=FILE names another.");
    }
    *older = version < VERSION;
    return status;
}

enum status schema_migrate(sqlite3 *db, const char *path, struct error *err)
{
    int64_t version = 0;
    bool empty = false;
    char pragma[64];
    enum status status = version_read(db, &version, &empty, err);
    if (status || version == VERSION)
        return status;
    status = refuse(version, empty, path, err);
    if (!status)
        status = sql_run(db, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    /* Another process may have migrated while this one waited for the lock. */
    status = version_read(db, &version, &empty, err);
    for (; !status && version < VERSION; version++)
        status = sql_run(db, scripts[version], err);
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d", VERSION);
    if (!status)
        status = sql_run(db, pragma, err);
    if (!status)
        status = sql_run(db, "COMMIT", err);
    if (status)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
