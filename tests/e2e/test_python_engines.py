"""PyTorch, tinygrad and ONNX Runtime from their installation to a comparison, on a tiny model."""

import array
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from gguf_parts import cut
from worker_host import Host

PRONY = os.environ["PRONY"]
ENGINES = pathlib.Path(PRONY).parent / "engines"
# Largest error of the logits against native's in float32, as a share of their range: rounding of
# float32; of float16 weights; of bfloat16 (or float16) weights, activations and cache.
BOUNDS = {
    "pytorch-base": 1e-5,
    "onnxruntime": 1e-5,
    "onnxruntime-opt": 1e-5,
    "tinygrad": 5e-3,
    "pytorch-opt": 5e-2,
}
NAMES = ("pytorch", "tinygrad", "onnxruntime")
CONTEXT, PROMPT, TOKENS = 96, 40, 16
SAMPLING = {"temperature": 0.9, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "seed": 7}


def prony(*arguments, check=True):
    command = [PRONY, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"prony {arguments}: {result.stdout}\n{result.stderr}")
    return result


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("PRONY_CACHE") or f"{base}/prony")


def worker_of(name, cache):
    """The engine's worker, in the environment that was installed, and its manifest."""
    manifest = json.loads((ENGINES / name / "engine.json").read_text())
    command = manifest["command"]
    if "install" in manifest:
        version = manifest["install"]["versions"][0]["version"]
        python = cache_folder() / "engines" / name / version / "environment/bin/python3"
        command = [str(python) if word == "{python}" else word for word in command]
    environment = {"PYTHONPATH": str(ENGINES / "sdk"), "PRONY_ENGINE_CACHE": str(cache)}
    return Host(command, ENGINES / name, environment), manifest


class PythonEngines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        os.environ["PRONY_STORE"] = str(cls.folder / "store.db")
        cls.model = cls.folder / "tiny.gguf"
        # Not tied, and with a rope scaling that shows within the context.
        prony("model", "make", "--output", cls.model, "--rope-scaling", "llama3", "--context", 512)
        for name in NAMES:
            prony("engines", "install", name)

    def load(self, variant, model=None):
        worker, manifest = worker_of(variant.split("-")[0], self.folder)
        self.addCleanup(worker.close)
        (options,) = (v.get("options", {}) for v in manifest["variants"] if v["name"] == variant)
        request = {"variant": variant, "device": "cpu", "precision": "", "quantize": "", "shard": 1}
        request |= {"threads": 2, "context": CONTEXT, "options": options}
        reply = worker.ask("load", model=str(model or self.model), **request)
        self.assertNotIn("error", reply)
        self.prompt = [(i * 7919 + 13) % reply["vocabulary"] for i in range(PROMPT)]
        return worker

    def logits(self, worker, ids):
        path = self.folder / "logits"
        reply = worker.ask("logits", ids=ids, path=str(path))
        self.assertEqual(reply["rows"], len(ids))
        values = array.array("f", path.read_bytes())
        columns = reply["columns"]
        return [values[i : i + columns] for i in range(0, len(values), columns)]

    def test_they_compute_what_native_computes(self):
        native = self.load("native-f32")
        for variant, bound in BOUNDS.items():
            with self.subTest(variant):
                worker = self.load(variant)
                ids = worker.ask("generate", prompt=self.prompt, tokens=TOKENS)["ids"]
                ours = self.logits(worker, self.prompt + ids)
                expected = self.logits(native, self.prompt + ids)
                error = max(
                    max(abs(a - b) for a, b in zip(row, other)) / (max(other) - min(other))
                    for row, other in zip(ours, expected)
                )
                print(f"{variant}: {error:.1e} of the range")
                self.assertLess(error, bound)
                # Each id is the best of native's row, but for a tie within the bound.
                for i, token in enumerate(ids):
                    row = expected[PROMPT - 1 + i]
                    self.assertLess(max(row) - row[token], 2 * bound * (max(row) - min(row)))
                self.check_sampling(worker)
                self.check_trace(worker)

    def test_parts_are_the_whole(self):
        first, *_ = cut(self.model, self.folder / "parts", 4)
        for variant in ("pytorch-base", "onnxruntime", "tinygrad"):
            with self.subTest(variant):
                whole, parts = (
                    self.logits(self.load(variant, model), self.prompt)
                    for model in (self.model, first)
                )
                self.assertEqual(whole, parts)

    def check_sampling(self, worker):
        request = {"prompt": self.prompt, "tokens": TOKENS, "stream": True}
        first, again = (worker.ask("generate", **request, **SAMPLING)["ids"] for _ in range(2))
        other = worker.ask("generate", **request, **{**SAMPLING, "seed": 8})["ids"]
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def check_trace(self, worker):
        path = self.folder / "trace.json"
        worker.ask("trace", path=str(path))
        worker.ask("generate", prompt=self.prompt, tokens=4)
        self.assertNotIn("error", worker.ask("trace", path=""))
        events = json.loads(path.read_text())["traceEvents"]
        self.assertTrue(any(e.get("ph") == "X" and e["dur"] > 0 for e in events))

    def test_they_keep_to_the_protocol(self):
        for variant in BOUNDS:
            with self.subTest(variant):
                # Compiled ones take minutes for each form, which test_quantised_engines measures.
                forms = "--forms" if variant in ("tinygrad", "pytorch-base") else "--no-forms"
                options = ["--variant", variant, "--timeout", 1200, forms]
                result = prony("engines", "check", variant.split("-")[0], *options, check=False)
                self.assertEqual(result.returncode, 0, result.stdout)

    def test_they_are_compared(self):
        output = self.folder / "run.json"
        command = ["bench", "--model-path", self.model, "--blocks", 1, "--iterations", 4]
        prony(*command, "--framework", "native-f32", *BOUNDS, "--output", output)
        rows = {row["framework"]: row for row in json.loads(output.read_text())["results"]}
        self.assertEqual(set(rows), {"native-f32", *BOUNDS})
        for name, row in rows.items():
            with self.subTest(name):
                self.assertGreater(row["avg_tokens_per_second"], 0)
                self.assertGreater(row["peak_memory_gb"], 0)

    def test_they_answer(self):
        for name in NAMES:
            with self.subTest(name):
                command = ["--model", self.model, "--framework", name, "--prompt", "The model"]
                # Drawn, it may be empty: the first id may be the end.
                command += ["--temperature", 0, "--max-tokens", 8]
                self.assertTrue(prony(*command).stdout.strip())


if __name__ == "__main__":
    unittest.main()
