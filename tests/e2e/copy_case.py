"""What the tests of copies share: a GGUF, and an engine that reads safetensors alone."""

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from command import model_make, prony

BUILD = Path(os.environ["PRONY_BUILD"])
ENGINE = "native-f32"


class CopyCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory())).resolve()
        cls.model = model_make(cls.root / "tiny.gguf")
        # The native engine, which says that it reads no GGUF.
        engine = shutil.copytree(BUILD / "engines/native", cls.root / "engines/native")
        manifest = json.loads((engine / "engine.json").read_text())
        for variant in manifest["variants"]:
            variant["supports"]["formats"] = ["safetensors"]
        (engine / "engine.json").write_text(json.dumps(manifest))

    def environment(self, cache):
        return {
            "PRONY_ENGINE_PATH": str(self.root / "engines"),
            "PRONY_STORE": str(self.root / f"{cache}.db"),
            "PRONY_CACHE": str(self.root / cache),
        }

    def run_prony(self, *words, cache="cache"):
        return prony(*words, **self.environment(cache))

    def bench(self, *more, cache="cache"):
        words = ("--model-path", self.model, "--framework", ENGINE, "--quick", "--iterations", 4)
        return self.run_prony("bench", *words, *more, cache=cache)

    def copies(self, cache):
        return list((self.root / cache).glob("converted/*"))
