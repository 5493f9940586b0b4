"""What tests of talking to a model share: a tiny model, and engines that answer fast, slowly or never."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from engine_folder import WORKER, engine_write

PRONY = os.environ["PRONY"]
VOCABULARY = 512  # as the tiny model has


def paced_write(folder, name, token_us, **supports):
    """An engine that takes so long for a token."""
    pace = {"token_us": token_us, "prefill_us": 0, "vocabulary": VOCABULARY}
    engine_write(folder, name, [str(WORKER)], pace, **{"sampling": True, **supports})


STUCK = """
import time
import prony_worker

class Stuck(prony_worker.Engine):
    name, version = "stuck", "1"

    def load(self, request):
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        yield 70
        time.sleep(1000)

prony_worker.serve(Stuck())
"""


def stuck_write(folder):
    """An engine that gives one token and then hears nothing any more."""
    engine_write(folder, "stuck", ["/usr/bin/python3", "worker.py"], sampling=True)
    (folder / "stuck" / "worker.py").write_text(STUCK)


class Talk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = root / "tiny.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--output", cls.model]
        subprocess.run(make, check=True, capture_output=True)
        paced_write(root / "engines", "quick", 10)
        paced_write(root / "engines", "slow", 20000)
        paced_write(root / "engines", "greedy", 10, sampling=False)
        stuck_write(root / "engines")
        cls.cache = root / "cache"
        cls.environment = os.environ | {
            "PRONY_ENGINE_PATH": str(root / "engines"),
            "PRONY_CACHE": str(cls.cache),
        }

    def command(self, *arguments, framework="quick"):
        given = ["--framework", framework, "--chat-template", "llama3", "--seed", "1"]
        return [PRONY, "--model", str(self.model), *given, *map(str, arguments)]

    def run_talk(self, *arguments, text="", status=0, **options):
        run = subprocess.run(
            self.command(*arguments, **options),
            input=text.encode(),
            capture_output=True,
            env=self.environment,
        )
        self.assertEqual(run.returncode, status, run.stderr)
        return run.stdout, run.stderr.decode()

    def refused(self, *arguments, **options):
        out, err = self.run_talk(*arguments, status=1, **options)
        self.assertEqual(out, b"")
        self.assertTrue(err.startswith("Error: ") and err.count("\n") == 1, err)
        return err
