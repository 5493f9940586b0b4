"""prony_worker.py: an engine that uses all of it conforms; one with a bug gets a clear error."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PRONY = os.environ["PRONY"]

HEAD = """
import array, json, os, random
from prony_worker import Engine, Failure, Sampling, serve

class Base(Engine):
    name, version, stands_on = "mine", "1", "Python"

    def load(self, request):
        with request.phase("read"):
            if not os.path.exists(request.model):
                raise Failure("not_found", "no model", "Give another.")
        return {"vocabulary": 64, "weight_bytes": 0, "kv_token_bytes": 0, "detail": "none"}

    def best(self, ids):
        return (sum(ids) * 7 + len(ids)) % 64

    def generate(self, prompt, sampling):
        ids, chance = list(prompt), random.Random(sampling.seed)
        while True:
            ids.append(chance.randrange(64) if sampling.temperature else self.best(ids))
            yield ids[-1]
"""

FULL = """
class Full(Base):
    def logits(self, ids):
        matrix = array.array("f", [0.0] * (64 * len(ids)))
        for i in range(len(ids)):
            matrix[64 * i + self.best(ids[: i + 1])] = 1.0
        return matrix

    def memory(self):
        return {"host_bytes": 1, "method": "guessed"}

    def trace(self, path):
        if path:
            with open(path, "w") as file:
                json.dump({"traceEvents": []}, file)

serve(Full())
"""


DRAWS = """
import types
from prony_sampling import Sampler

for top_p in (1, 0.9):
    sampling = types.SimpleNamespace(temperature=1, top_p=top_p, min_p=0, top_k=0, seed=7)
    sampler = Sampler(sampling)
    print(*(sampler.choose([i * 37 % 200 / 80 for i in range(200)]) for _ in range(12)))
"""
DRAWN = """118 162 78 159 37 187 124 101 97 167 63 171
64 54 170 31 26 113 80 102 70 118 16 29
"""


def with_generate(body):
    return f"class Bug(Base):\n    def generate(self, prompt, sampling):\n{body}\nserve(Bug())\n"


BUGS = {
    "raises": (with_generate("        yield 1 // 0"), "ZeroDivisionError: integer division"),
    "ends-early": (
        with_generate("        yield from (1, 2, 3)"),
        "it sent 3 tokens where 16 were asked for",
    ),
    "yields-floats": (
        with_generate("        while True:\n            yield 1.0"),
        "mine yields ids that are no int. Convert before you yield",
    ),
    "no-memory": (with_generate("        raise MemoryError\n        yield"), "out of memory"),
    "no-vocabulary": (
        "class Bug(Base):\n    def load(self, request):\n        return {}\nserve(Bug())\n",
        "KeyError: 'vocabulary'",
    ),
    "cannot-import": ("import no_such_library\n", "No module named 'no_such_library'"),
}


class Sdk(unittest.TestCase):
    def check(self, code, supports):
        with tempfile.TemporaryDirectory() as root:
            folder = pathlib.Path(root) / "mine"
            folder.mkdir()
            (folder / "worker.py").write_text(HEAD + code)
            variant = {
                "name": "mine",
                "title": "Mine",
                "precision": "float32",
                "about": "For a test.",
                "supports": {"formats": ["gguf"], "devices": ["cpu"], **supports},
            }
            manifest = {
                "name": "mine",
                "title": "Mine",
                "licence": "MIT",
                "about": "For a test.",
                "command": [sys.executable, "worker.py"],
                "variants": [variant],
            }
            (folder / "engine.json").write_text(json.dumps(manifest))
            return subprocess.run(
                [PRONY, "engines", "check", "mine"],
                env={**os.environ, "PRONY_ENGINE_PATH": root},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )

    def test_an_engine_that_uses_all_of_it(self):
        result = self.check(FULL, {"logits": True, "sampling": True, "trace": True})
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_bugs_are_told_clearly(self):
        for name, (code, message) in BUGS.items():
            with self.subTest(name):
                result = self.check(code, {"sampling": True})
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertIn(message, result.stdout)

    def test_a_worker_on_its_own_says_what_it_is(self):
        sdk = pathlib.Path(os.environ["PRONY_SOURCE"]) / "engines/sdk"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PRONY_FD")}
        result = subprocess.run(
            [sys.executable, "-c", HEAD + FULL],
            env={**environment, "PYTHONPATH": str(sdk)},
            capture_output=True,
            encoding="utf-8",
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("This program is a worker of Prony", result.stderr)

    def test_a_seed_means_the_ids_that_it_means_in_c(self):
        """Those of tests/unit/test_sample.c. By Debian's Python, which has numpy."""
        sdk = pathlib.Path(os.environ["PRONY_SOURCE"]) / "engines/sdk"
        result = subprocess.run(
            ["/usr/bin/python3", "-W", "error", "-c", DRAWS],
            env={**os.environ, "PYTHONPATH": str(sdk)},
            capture_output=True,
            encoding="utf-8",
        )
        self.assertEqual((result.stdout, result.stderr), (DRAWN, ""))


if __name__ == "__main__":
    unittest.main()
