"""--quantize in PyTorch and tinygrad, on a tiny model: every engine holds the same numbers, and what
none can do is refused."""

import array
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_python_engines import CONTEXT, TOKENS, prony, worker_of

# Of the range of logits. Two engines that hold the same numbers differ by tinygrad's float16 cache, or
# by float16 activations (bfloat16 where the processor has no others); an engine that does not quantise
# is further from int8 than the first of them.
SAME = {"tinygrad": 1e-3, "pytorch-opt": 5e-2}
CASES = {"int8": ("tinygrad", "pytorch-opt"), "nf4": ("tinygrad",)}  # to compile takes a minute
LEAST = {"int8": 2e-3, "nf4": 2e-2}
PROMPT = [(i * 7919 + 13) % 512 for i in range(40)]


def fetch_model():
    """The path of the real model, whose weights are Q4_1 and Q8_0."""
    program = pathlib.Path(os.environ["PRONY_SOURCE"]) / "scripts/fetch-model"
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


class QuantisedEngines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        os.environ["PRONY_STORE"] = str(cls.folder / "store.db")
        cls.model = cls.folder / "tiny.gguf"
        prony("model", "make", "--output", cls.model, "--rope-scaling", "llama3", "--context", 512)
        for name in ("pytorch", "tinygrad"):
            prony("engines", "install", name)

    def ask(self, variant, quantize, model=None):
        worker, manifest = worker_of(variant.split("-")[0], self.folder)
        self.addCleanup(worker.close)
        (options,) = (v.get("options", {}) for v in manifest["variants"] if v["name"] == variant)
        request = {"variant": variant, "device": "cpu", "precision": "", "quantize": quantize}
        request |= {"shard": 1, "threads": 2, "context": CONTEXT, "options": options}
        return worker, worker.ask("load", model=str(model or self.model), **request)

    def results(self, variant, quantize):
        """Bytes of weights, logits over a prompt and more, and the ids that were generated."""
        worker, loaded = self.ask(variant, quantize)
        self.assertNotIn("error", loaded)
        if quantize:
            self.assertEqual(loaded["precision"], quantize)
        path = self.folder / "logits"
        stream = PROMPT + [5] * TOKENS
        reply = worker.ask("logits", ids=stream, path=str(path))
        self.assertNotIn("error", reply)
        values = array.array("f", path.read_bytes())
        rows = [values[i : i + 512] for i in range(0, len(values), 512)]
        ids = worker.ask("generate", prompt=PROMPT, tokens=TOKENS)["ids"]
        self.assertEqual(ids[0], max(range(512), key=rows[len(PROMPT) - 1].__getitem__))
        return loaded["weight_bytes"], rows

    def distance(self, ours, theirs):
        return max(
            max(abs(a - b) for a, b in zip(row, other)) / (max(other) - min(other))
            for row, other in zip(ours, theirs)
        )

    def test_all_hold_the_same_numbers(self):
        whole_bytes, whole = self.results("pytorch-base", "")
        matrices = 2 * (64 * 128 + 64 * 64 + 3 * 64 * 192)  # of both layers
        outside, norms = 2 * 512 * 64, 5 * 64 * 4
        rows = 2 * (3 * 64 + 64 + 2 * 192) + 2 * 512
        self.assertEqual(whole_bytes, 4 * (matrices + outside) + norms)
        bytes_held = {
            "int8": matrices + outside + 4 * rows + norms,
            "nf4": matrices // 2 + matrices // 64 * 4 + 4 * outside + norms,
        }
        for quantize, least in LEAST.items():
            held, packed = self.results("pytorch-opt-no-half", quantize)
            self.assertEqual(held, bytes_held[quantize])
            self.assertGreater(self.distance(packed, whole), least)
            for variant in CASES[quantize]:
                with self.subTest(variant, quantize=quantize):
                    _, other = self.results(variant, quantize)
                    distance = self.distance(other, packed)
                    print(f"{variant} {quantize}: {distance:.1e} of the range")
                    self.assertLess(distance, SAME[variant])

    def test_float16_is_what_tinygrad_has_by_itself(self):
        self.assertEqual(self.results("tinygrad", "float16"), self.results("tinygrad", ""))

    def test_what_cannot_be_quantised_is_refused(self):
        blocks, odd = fetch_model(), self.folder / "odd.gguf"
        prony("model", "make", "--output", odd, "--hidden", 96, "--heads", 6, "--kv-heads", 3)
        cases = [
            (self.model, "int4", 'no quantisation "int4"'),
            (blocks, "int8", "quantised already"),
            (odd, "nf4", "blocks of 64 weights"),
        ]
        for variant in ("pytorch-opt", "tinygrad"):
            for model, quantize, words in cases:
                with self.subTest(variant, quantize=quantize):
                    _, reply = self.ask(variant, quantize, model)
                    self.assertEqual(reply["error"]["code"], "unsupported")
                    self.assertIn(words, reply["error"]["message"])


if __name__ == "__main__":
    unittest.main()
