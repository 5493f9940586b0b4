"""ONNX Runtime's graphs on models of many shapes, against native's logits; and how it fails."""

import json
import os
import pathlib
import shutil
import tempfile
import unittest

import test_python_engines as engines
from test_python_engines import ENGINES, cache_folder, prony, worker_of

BOUND = 1e-5  # of the logits' range: rounding of float32
SHAPES = {
    "groups of three, tied.gguf": ["--heads", 6, "--kv-heads", 2, "--head-size", 32, "--tied"],
    "one for all": ["--heads", 4, "--kv-heads", 1, "--head-size", 16, "--precision", "bfloat16"],
    "each its own.gguf": ["--heads", 3, "--kv-heads", 3, "--head-size", 48, "--layers", 1],
}
VARIANTS = {"onnxruntime": "plain", "onnxruntime-opt": "fused"}


def interpreter():
    version = json.loads((ENGINES / "onnxruntime/engine.json").read_text())
    version = version["install"]["versions"][0]["version"]
    return cache_folder() / "engines/onnxruntime" / version / "environment/bin/python3"


class Onnxruntime(unittest.TestCase):
    logits = engines.PythonEngines.logits

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        os.environ["PRONY_STORE"] = str(cls.folder / "store.db")
        prony("engines", "install", "onnxruntime")

    def worker(self, name="onnxruntime"):
        worker, _ = worker_of(name, self.folder)
        self.addCleanup(worker.close)
        return worker

    def load(self, worker, variant, model, **changes):
        request = {"variant": variant, "device": "cpu", "precision": "", "quantize": "", "shard": 1}
        request |= {"threads": 2, "context": 64, "options": {"graph": VARIANTS.get(variant)}}
        return worker.ask("load", model=str(model), **{**request, **changes})

    def test_every_shape_has_natives_logits(self):
        native, worker = self.worker("native"), self.worker()
        for name, shape in SHAPES.items():
            model = self.folder / name
            prony("model", "make", "--output", model, "--rope-scaling", "llama3", *shape)
            vocabulary = self.load(native, "native-f32", model)["vocabulary"]
            ids = [(i * 7919 + 13) % vocabulary for i in range(48)]
            expected = self.logits(native, ids)
            for variant in VARIANTS:
                with self.subTest(name, variant=variant):
                    self.assertNotIn("error", self.load(worker, variant, model))
                    error = max(
                        max(abs(a - b) for a, b in zip(row, other)) / (max(other) - min(other))
                        for row, other in zip(self.logits(worker, ids), expected)
                    )
                    self.assertLess(error, BOUND)

    def test_a_trace_says_where_the_time_went(self):
        model, trace = self.folder / "traced.gguf", self.folder / "trace.json"
        prony("model", "make", "--output", model)
        worker = self.worker()
        for variant, attention in (("onnxruntime", "Softmax"), ("onnxruntime-opt", "GroupQuery")):
            with self.subTest(variant):
                self.load(worker, variant, model)
                worker.ask("trace", path=str(trace))
                worker.ask("generate", prompt=[1, 2, 3], tokens=5)
                reply = worker.ask("trace", path="")
                self.assertEqual((reply["prompts"], reply["tokens"]), (1, 4))
                times = {o["name"]: o["token_ns"] for o in reply["operations"]}
                self.assertTrue(any(name.startswith(attention) for name in times), times)
                self.assertLess(0, sum(times.values()))
                self.assertLessEqual(sum(times.values()), reply["token_ns"])
                self.assertTrue(json.loads(trace.read_text())["traceEvents"])

    def refusal(self, *arguments, **changes):
        return self.load(self.worker(), *arguments, **changes)["error"]

    def test_what_cannot_be_done_is_refused(self):
        odd, cut = self.folder / "odd.gguf", self.folder / "cut.gguf"
        prony("model", "make", "--output", odd, "--heads", 4, "--head-size", 24)
        error = self.refusal("onnxruntime-opt", odd)
        self.assertEqual(error["code"], "unsupported")
        self.assertIn("heads of 24", error["message"])
        self.assertNotIn("error", self.load(self.worker(), "onnxruntime", odd))
        error = self.refusal("onnxruntime-opt", odd, precision="float16")
        self.assertIn("computes in float32 on cpu", error["message"])
        error = self.refusal("onnxruntime-opt", odd, device="cuda")
        self.assertEqual(error["code"], "unsupported")
        cut.write_bytes(odd.read_bytes()[:-4096])
        self.assertEqual(self.refusal("onnxruntime", cut)["code"], "bad_model")

    def broken(self, name, command, files=()):
        """The engine again under another name, as somebody broke it; its row of a bench."""
        folder = self.folder / name
        shutil.copytree(ENGINES / "onnxruntime", folder)
        for path, text in files:
            (folder / path).write_text(text)
        manifest = json.loads((folder / "engine.json").read_text())
        del manifest["install"]
        variants = [{**manifest["variants"][1], "name": name, "title": name}]
        manifest |= {"name": name, "command": command, "variants": variants}
        (folder / "engine.json").write_text(json.dumps(manifest))
        os.environ["PRONY_ENGINE_PATH"] = str(folder)
        self.addCleanup(os.environ.pop, "PRONY_ENGINE_PATH")
        model, output = self.folder / f"{name}.gguf", self.folder / f"{name}.json"
        large = ["--hidden", 1024, "--vocabulary", 32000, "--layers", 2]
        prony("model", "make", "--output", model, *large)
        command = ["bench", "--model-path", model, "--blocks", 1, "--iterations", 2, "--threads", 1]
        prony(*command, "--framework", "native-f16", name, "--output", output, check=False)
        rows = json.loads(output.read_text())["results"]
        return next(row for row in rows if row["framework"] == name)

    def test_a_library_that_is_missing_is_a_failed_row(self):
        stub = "raise ImportError('libonnxruntime.so.1: cannot open shared object file')\n"
        files = [("onnxruntime.py", stub)]
        row = self.broken("torn", [str(interpreter()), "worker.py"], files)
        self.assertIn("libonnxruntime.so.1", row["failure"])

    def test_too_little_memory_is_a_failed_row(self):
        # Each thread takes address space: as many as cores may be would leave none for the import.
        shell = f"ulimit -v 600000; OPENBLAS_NUM_THREADS=1 exec {interpreter()} worker.py"
        row = self.broken("small", ["sh", "-c", shell])
        self.assertIn("memory", row["failure"])


if __name__ == "__main__":
    unittest.main()
