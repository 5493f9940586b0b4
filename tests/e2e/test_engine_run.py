"""prony engines run: one worker by itself; and engines that behave badly beside others."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]

# Prints where it can, and uses up the memory that it may have if its variant says so.
WORKER = """
import resource

from prony_worker import Engine, serve

print("hello from the start", flush=True)


class Loud(Engine):
    name, version = "loud", "1"

    def load(self, request):
        print('{"id": 2, "ids": []} on the standard output', flush=True)
        self.greedy = request.options.get("greedy", False)
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        if self.greedy:
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
            bytearray(8 << 30)
        while True:
            print("a token", flush=True)
            yield 7


serve(Loud())
"""


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        root = cls.root = Path(cls.folder.name)
        home = root / "engines" / "loud"
        home.mkdir(parents=True)
        variant = {
            "precision": "float32",
            "about": "For a test.",
            "supports": {"formats": ["gguf"], "devices": ["cpu"]},
        }
        manifest = {
            "name": "loud",
            "title": "Loud",
            "licence": "MIT",
            "about": "For a test.",
            "command": [sys.executable, "worker.py"],
            "variants": [
                {"name": "loud", "title": "Loud", **variant},
                {"name": "loud-greedy", "title": "Greedy", "options": {"greedy": True}, **variant},
            ],
        }
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "worker.py").write_text(WORKER)
        cls.environment = {
            **os.environ,
            "PRONY_CACHE": str(root / "cache"),
            "PRONY_STORE": str(root / "store.db"),
            "PRONY_ENGINE_PATH": str(root / "engines"),
        }

    def prony(self, *words, status=0):
        result = subprocess.run(
            [PRONY, *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def test_every_step_is_told(self):
        result = self.prony("engines", "run", "null", "--size", "tiny", "--benchmark")
        for step in ("start", "load", "memory, loaded", "cold start", "first token"):
            self.assertRegex(result.stdout, rf"(?m)^{step} ")
        self.assertEqual(result.stdout.count("\n  warm-up "), 8)
        self.assertEqual(result.stdout.count("\n  token "), 20)
        self.assertRegex(result.stdout, r"tok/s, mean of 20\n")
        model = next((self.root / "cache/models").glob("synthetic-tiny*"))
        again = self.prony("engines", "run", "native-f32", "--size", "tiny", "--threads", "1")
        self.assertNotIn("Making", again.stderr)
        self.assertIn("1 threads", again.stdout)
        self.assertEqual(again.stdout.count("\n  token "), 8)
        wrong = self.prony("engines", "run", "null", "--size", "1B", "--model", model, status=1)
        self.assertIn("the model is not of the size 1b", wrong.stderr)

    def test_what_the_worker_writes(self):
        result = self.prony("engines", "run", "loud", "--size", "tiny")
        self.assertIn("hello from the start\n", result.stderr)
        self.assertIn("on the standard output\n", result.stderr)
        self.assertNotIn("a token\n", result.stdout)
        trace = self.root / "trace.json"
        refused = self.prony("engines", "run", "loud", "--size", "tiny", "--trace", trace, status=1)
        self.assertIn("trace", refused.stderr)
        missing = self.prony("engines", "run", "nobody", "--size", "tiny", status=1)
        self.assertIn("there is no engine or variant 'nobody'", missing.stderr)
        self.assertIn("--size", self.prony("engines", "run", "loud", status=1).stderr)

    def test_bad_neighbours(self):
        """One prints to its standard output, one uses up its memory: the others finish."""
        model = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", model)
        output = self.root / "run.json"
        table = self.prony(
            *("bench", "--model-path", model, "--framework", "loud-greedy", "loud", "null"),
            *("--blocks", "2", "--output", output),
        ).stdout
        self.assertIn("out of memory", table)
        rows = {row["framework"]: row for row in json.loads(output.read_text())["results"]}
        self.assertIsNone(rows["loud-greedy"]["avg_token_time"])
        self.assertGreater(rows["loud"]["avg_tokens_per_second"], 0)
        self.assertGreater(rows["null"]["avg_tokens_per_second"], 0)


if __name__ == "__main__":
    unittest.main()
