"""What the tests of models split by Python engines share."""

import array
import tempfile
import unittest
from pathlib import Path

from test_python_engines import cache_folder, prony

TALK = {"stream": True, "temperature": 0.9, "seed": 3}


class ShardCase(unittest.TestCase):
    """PROMPT: the ids that are given; ENGINE, VERSION: what is installed."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.folder / "tiny.gguf"
        prony("model", "make", "--output", cls.model)
        prony("engines", "install", cls.ENGINE)
        (cls.python,) = cache_folder().glob(
            f"engines/{cls.ENGINE}/{cls.VERSION}/environment/bin/python3"
        )

    def answers(self, host):
        greedy = host.ask("generate", prompt=self.PROMPT, tokens=20)
        sampled = host.ask("generate", prompt=self.PROMPT, tokens=10, **TALK)
        return greedy, sampled["ids"], self.logits(host, self.PROMPT)

    def logits(self, host, ids):
        path = self.folder / "logits"
        self.assertNotIn("error", host.ask("logits", ids=ids, path=str(path)))
        return array.array("f", path.read_bytes())

    def assert_same_logits(self, whole, parts, most):
        worst = max(abs(a - b) for a, b in zip(whole, parts, strict=True))
        self.assertLess(worst, most)
