"""kill -9 of a worker, of its host and of a whole group: an error or silence, and nobody left."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PRONY = os.environ["PRONY"]

MANIFEST = {
    "name": "slow",
    "title": "Slow",
    "licence": "MIT",
    "about": "For a test.",
    "variants": [
        {
            "name": "slow",
            "title": "Slow",
            "precision": "float32",
            "about": "Never gives its second token.",
            "supports": {"formats": ["gguf"], "devices": ["cpu"]},
        }
    ],
}

# Tells when it generates, and never comes to an end.
WORKER = """
import pathlib, time
import prony_worker

class Slow(prony_worker.Engine):
    name, version = "slow", "1"

    def load(self, request):
        if not pathlib.Path(request.model).exists():
            raise prony_worker.Failure("not_found", "no model")
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        pathlib.Path("generating").touch()
        yield 1
        time.sleep(1000)

prony_worker.serve(Slow())
"""

# A worker that starts helpers: one in its own process group, one in a session of its own.
NURSERY = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", "1000"])
subprocess.Popen(["sleep", "1000"], start_new_session=True)
time.sleep(1000)
"""


class Faults(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = pathlib.Path(self.temporary.name).resolve()

    def start(self, command):
        folder = self.root / "slow"
        folder.mkdir()
        (folder / "engine.json").write_text(json.dumps({**MANIFEST, "command": command}))
        process = subprocess.Popen(
            [PRONY, "engines", "check", "slow", "--timeout", "600"],
            env={**os.environ, "PRONY_ENGINE_PATH": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def processes(self):
        """Whoever works in the engine's folder: the worker and what it started."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(path / "cwd").startswith(str(self.root)):
                    found.append(int(path.name))
            except OSError:
                pass  # not ours, or gone
        return sorted(found)

    def wait_for(self, count):
        """Until there are that many, which must come true; ctest's time limit is the only one."""
        while len(self.processes()) != count:
            time.sleep(0.01)
        return self.processes()

    def generating(self):
        """The host of a worker that has given its first token, and the worker's pid."""
        host = self.start([sys.executable, "-c", WORKER])
        while not (self.root / "slow/generating").exists():
            time.sleep(0.01)
        return host, self.wait_for(1)[0]

    def test_killed_worker_is_a_clear_error(self):
        host, worker = self.generating()
        os.kill(worker, signal.SIGKILL)
        output = host.stdout.read()
        self.assertEqual(host.wait(), 1)
        self.assertRegex(
            output,
            "Error: slow: the worker ended when it should generate: "
            r"killed by signal 9 \(Killed\)\. Somebody killed it; the kernel does when memory "
            "runs out",
        )
        self.wait_for(0)

    def test_killed_host_leaves_nobody(self):
        host, _ = self.generating()
        host.kill()
        host.wait()
        self.wait_for(0)

    def test_killed_host_leaves_no_helper_of_the_worker(self):
        host = self.start([sys.executable, "-c", NURSERY])
        self.wait_for(3)
        host.kill()
        host.wait()
        self.wait_for(0)

    def test_stopped_worker_is_killed(self):
        host, worker = self.generating()
        os.kill(worker, signal.SIGSTOP)
        host.kill()
        host.wait()
        self.wait_for(0)


if __name__ == "__main__":
    unittest.main()
