"""kill -9 at 50 random moments: what is gone on with ends as a run that nothing disturbed."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from engine_folder import WORKER, engine_write

PRONY = os.environ["PRONY"]
KILLS = 50

# All that is stored but times, sizes and what the machine did; in the order of their rows.
QUERIES = {
    "run": "SELECT state, plan, imported FROM run",
    "variant": "SELECT * FROM variant ORDER BY position",
    "process": "SELECT block, attempt, point, position, variant, failure, log_tail, weight_bytes,"
    " kv_token_bytes, embedding_bytes, threads, precision, prompt_tokens, warmup_steps,"
    " memory_method FROM process ORDER BY id",
    "phase": "SELECT p.block, p.variant, f.position, f.name FROM phase f"
    " JOIN process p ON p.id = f.process ORDER BY p.id, f.position",
    "token": "SELECT p.block, p.variant, t.step, t.id FROM token t"
    " JOIN process p ON p.id = t.process ORDER BY p.id, t.step",
    "reading": "SELECT p.block, p.variant, r.name FROM reading r"
    " JOIN process p ON p.id = r.process ORDER BY p.id, r.name",
}


class Kill(unittest.TestCase):
    def setUp(self):
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.model = self.root / "tiny.gguf"
        subprocess.run(
            [PRONY, "model", "make", "--size", "tiny", "--output", self.model],
            check=True,
            capture_output=True,
        )
        for name, token_us in ("first", 300), ("second", 900):
            pace = {"token_us": token_us, "load_ms": 20}
            engine_write(self.root / "engines", name, [str(WORKER)], pace, hidden=False)

    def start(self, store, *words):
        return subprocess.Popen(
            [PRONY, "bench", *words],
            env=os.environ
            | {
                "PRONY_STORE": str(store),
                "PRONY_CACHE": str(self.root / "cache"),
                "PRONY_ENGINE_PATH": str(self.root / "engines"),
                "PRONY_REDO": "0",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process):
        _, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, errors)

    def begin(self, store):
        return self.start(store, "--model-path", str(self.model), "--framework", "first", "second")

    def state(self, store):
        """None before the run was begun."""
        if not store.exists():
            return None
        database = sqlite3.connect(store)
        try:
            if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                return None
            return (database.execute("SELECT state FROM run").fetchone() or [None])[0]
        finally:
            database.close()

    def contents(self, store):
        database = sqlite3.connect(store)
        try:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            found = {name: database.execute(sql).fetchall() for name, sql in QUERIES.items()}
            manifest = json.loads(database.execute("SELECT manifest FROM run").fetchone()[0])
        finally:
            database.close()
        del manifest["machine"]["load_average"], manifest["machine"]["memory"]["available_bytes"]
        del manifest["environment"]["PRONY_STORE"]
        return found | {"manifest": manifest}

    def test_killed_runs_end_as_others(self):
        undisturbed = self.root / "undisturbed.db"
        self.finish(self.begin(undisturbed))
        expected = self.contents(undisturbed)
        self.assertEqual(len(expected["process"]), 12)
        kills, seed = 0, random.randrange(1 << 30)
        moments = random.Random(seed)
        while kills < KILLS:
            store = self.root / f"after-{kills}.db"
            process = self.begin(store)
            for _ in range(10):
                if kills == KILLS:
                    break
                time.sleep(moments.uniform(0, 0.9))
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += process.returncode == -signal.SIGKILL
                state = self.state(store)
                if state == "complete":
                    break
                process = self.start(store, "--resume") if state else self.begin(store)
            if process.returncode is None:
                self.finish(process)
            self.assertEqual(self.contents(store), expected, f"seed {seed}, kill {kills}")


if __name__ == "__main__":
    unittest.main()
