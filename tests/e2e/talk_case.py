"""What tests of talking to a model share: a tiny model, and engines that answer fast, slowly or never."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
WORKER = Path(os.environ["PRONY_BUILD"]) / "engines" / "null" / "worker"
VOCABULARY = 512  # as the tiny model has


def engine_write(folder, name, token_us, sampling=True):
    home = Path(folder) / name
    home.mkdir(parents=True)
    supports = {"formats": ["gguf"], "devices": ["cpu"], "sampling": sampling}
    variant = {
        "name": name,
        "title": name.title(),
        "precision": "float32",
        "about": "For a test.",
        "supports": supports,
        "options": {"token_us": token_us, "prefill_us": 0, "vocabulary": VOCABULARY},
    }
    manifest = {
        "name": name,
        "title": name.title(),
        "licence": "MIT",
        "about": "For a test.",
        "command": [str(WORKER)],
        "hidden": True,
        "variants": [variant],
    }
    (home / "engine.json").write_text(json.dumps(manifest))


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
    engine_write(folder, "stuck", 0)
    manifest = json.loads((folder / "stuck" / "engine.json").read_text())
    manifest["command"] = ["/usr/bin/python3", "worker.py"]
    (folder / "stuck" / "engine.json").write_text(json.dumps(manifest))
    (folder / "stuck" / "worker.py").write_text(STUCK)


class Talk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = root / "tiny.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--output", cls.model]
        subprocess.run(make, check=True, capture_output=True)
        engine_write(root / "engines", "quick", 10)
        engine_write(root / "engines", "slow", 20000)
        engine_write(root / "engines", "greedy", 10, sampling=False)
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
