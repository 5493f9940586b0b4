"""What the tests of prony bench share: engines of known speed, and a store of each test's own."""

import contextlib
import os
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from engine_folder import WORKER, engine_write

PRONY = os.environ["PRONY"]
INSTALL = {
    "python": ["3.8", "3.99"],
    "versions": [
        {"version": "1.0", "requirements": "requirements.txt", "download_mb": 1, "disk_mb": 1}
    ],
}


@contextlib.contextmanager
def power(root, watts):
    """A copy of the kernel's folder of energy counters, which count so much whatever happens."""
    zone = Path(root) / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    (zone / "energy_uj").write_text("0\n")
    ended = threading.Event()

    def count():
        while not ended.wait(0.002):
            (zone / "next").write_text(f"{int(time.monotonic() * watts * 1e6)}\n")
            (zone / "next").rename(zone / "energy_uj")

    counter = threading.Thread(target=count)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()


class BenchCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.root = Path(cls.folder.name)
        cls.model = root / "tiny.gguf"
        subprocess.run(
            [PRONY, "model", "make", "--size", "tiny", "--output", cls.model],
            check=True,
            capture_output=True,
        )
        engines = root / "engines"
        engine_write(engines, "quick", [str(WORKER)], {"token_us": 100, "prefill_us": 1})
        engine_write(engines, "slow", [str(WORKER)], {"token_us": 4000, "prefill_us": 1})
        engine_write(engines, "missing", ["{python}", "worker.py"], install=INSTALL)
        engine_write(engines, "elsewhere", [str(WORKER)], devices=("cuda",))
        broken = engine_write(engines, "broken", ["./worker"])
        (broken / "worker").write_text("#!/bin/sh\necho the library is gone >&2\nexit 3\n")
        (broken / "worker").chmod(0o755)
        # Fails every other time it is started.
        moody = engine_write(engines, "moody", ["./worker"], {"token_us": 100, "prefill_us": 1})
        (moody / "worker").write_text(
            f"#!/bin/sh\nif mkdir turn 2>/dev/null; then exit 3; fi\nrmdir turn\nexec {WORKER}\n"
        )
        (moody / "worker").chmod(0o755)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.store = self.root / f"{self.id().rsplit('.', 1)[-1]}.db"
        self.environment = dict(
            os.environ,
            PRONY_STORE=str(self.store),
            PRONY_REDO="0",
            PRONY_CACHE=str(self.root / "cache"),
            PRONY_ENGINE_PATH=str(self.root / "engines"),
        )

    def arguments(self, *words):
        return [PRONY, "bench", *map(str, words)]

    def bench(self, *words, status=0):
        result = subprocess.run(
            self.arguments(*words),
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        return result

    def start(self, *words):
        return subprocess.Popen(
            self.arguments(*words),
            env=self.environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def rows(self, query):
        connection = sqlite3.connect(self.store)
        try:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def workers_left(self):
        left = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self.store).encode() in entry.read_bytes():
                    left.append(entry.parent.name)
            except OSError:
                pass
        return left

    def expect_no_workers(self):
        deadline = time.monotonic() + 20
        while self.workers_left() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.workers_left(), [])
