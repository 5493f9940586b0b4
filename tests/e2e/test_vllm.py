"""vLLM's worker without a GPU: on a vllm in its place that checks every call."""

import array
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from command import prony
from worker_host import Host

BUILD = Path(os.environ["PRONY_BUILD"])
FAKE = Path(os.environ["PRONY_SOURCE"]) / "tests/fake"
PYTHON = "/usr/bin/python3"  # Debian's, which has numpy


class Vllm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = Path(folder.name)
        cls.model = cls.root / "model"
        made = prony("model", "make", "--size", "tiny", "--output", cls.model)
        assert made.returncode == 0, made.stderr
        # The engine as it is, beside what stands for its packages.
        cls.engine = cls.root / "engines/vllm"
        shutil.copytree(BUILD / "engines/vllm", cls.engine)
        shutil.copytree(FAKE / "vllm", cls.engine, dirs_exist_ok=True)
        manifest = json.loads((cls.engine / "engine.json").read_text())
        cls.options = {variant["name"]: variant["options"] for variant in manifest["variants"]}
        del manifest["install"]
        manifest["command"][0] = PYTHON
        (cls.engine / "engine.json").write_text(json.dumps(manifest))

    def start(self, **environment):
        sdk = {"PYTHONPATH": str(BUILD / "engines/sdk"), "CUDA_VISIBLE_DEVICES": "5,7"}
        host = Host([PYTHON, "worker.py"], self.engine, {**sdk, **environment})
        self.addCleanup(host.close)
        host.ask("hello")
        return host

    def load(self, host, variant="vllm", **more):
        request = {"device": "cuda", "model": str(self.model), "context": 64, "shard": 1}
        options = self.options[variant]
        return host.ask("load", **{**request, "variant": variant, "options": options, **more})

    def failure(self, host=None, **more):
        return self.load(host or self.start(), **more)["error"]

    def test_keeps_to_the_protocol(self):
        result = prony(
            # It computes nothing, so no form of it can be held against the native engine.
            *("engines", "check", "vllm", "--device", "cuda", "--no-forms"),
            PRONY_ENGINE_PATH=str(self.root / "engines"),
            LD_LIBRARY_PATH=str(BUILD / "tests/fake"),
            # The drivers that are loaded into Python are built with it.
            ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0",
        )
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("ok    vllm-eager: ends a stream that is cancelled", result.stdout)

    def test_what_load_tells(self):
        host = self.start()
        self.assertEqual(self.load(host)["detail"], "compiled, CUDA graphs")
        reply = self.load(host, "vllm-eager", precision="bfloat16")
        self.assertEqual((reply["detail"], reply["precision"]), ("eager", "bfloat16"))
        self.assertEqual([phase["name"] for phase in reply["phases"]], ["read", "engine"])
        narrow, wide = reply["weight_bytes"], self.load(host, precision="float32")["weight_bytes"]
        self.assertEqual(2 * narrow, wide)

    def test_generates_the_likeliest(self):
        """generate() and logits() are two ways of asking: they must be of the same ids."""
        host, path = self.start(), self.root / "logits"
        vocabulary = self.load(host)["vocabulary"]
        ids = host.ask("generate", prompt=[3, 1, 4], tokens=8, temperature=0)["ids"]
        host.ask("logits", ids=[3, 1, 4, *ids], path=str(path))
        rows = array.array("f")
        rows.frombytes(path.read_bytes())
        self.assertEqual(len(rows), 11 * vocabulary)
        for i, token in enumerate(ids):
            row = rows[(2 + i) * vocabulary : (3 + i) * vocabulary]
            self.assertEqual(row.index(max(row)), token)

    def test_the_context_can_be_filled(self):
        host = self.start()
        self.load(host)
        reply = host.ask("logits", ids=[1] * 64, path=str(self.root / "logits"))
        self.assertEqual(reply["rows"], 64)
        self.assertEqual(
            len(host.ask("generate", prompt=[1] * 60, tokens=4, temperature=0)["ids"]), 4
        )

    def test_cards(self):
        host = self.start()
        self.assertNotIn("error", self.load(host, device="cuda:1"))
        error = self.failure(host)
        self.assertIn("this process has begun on cuda:1 with 1 cards", error["message"])
        error = self.failure(device="cuda:2")
        self.assertIn("there is no cuda:2: CUDA_VISIBLE_DEVICES is 5,7", error["message"])
        error = self.failure(self.start(FAKE_VLLM="no-gpu"))
        self.assertIn("vLLM 0.33.0 finds 0 of 1 GPUs for cuda", error["message"])

    def test_shards(self):
        """The vllm in its place checks what is asked of it: a size, an executor, as many cards."""
        host = self.start()
        whole, parts = self.load(self.start()), self.load(host, shard=2)
        self.assertEqual(parts["detail"], "compiled, CUDA graphs, 2 cards")
        self.assertEqual(parts["kv_token_bytes"], whole["kv_token_bytes"])
        norms = 2 * 5 * 64  # of two layers and the output, on each card
        self.assertEqual(parts["weight_bytes"] - whole["weight_bytes"], norms)
        self.assertEqual(
            len(host.ask("generate", prompt=[3, 1, 4], tokens=4, temperature=0)["ids"]), 4
        )
        one = self.start(CUDA_VISIBLE_DEVICES="5")
        self.assertIn("there are not 2 cards", self.failure(one, shard=2)["message"])
        error = self.failure(shard=3)
        self.assertIn("does not split into 3 parts", error["message"])
        self.assertEqual(error["hint"], "Parts that would do: 2.")

    def test_faults(self):
        error = self.failure(self.start(FAKE_VLLM="no-memory"))
        self.assertEqual(
            (error["code"], error["hint"]), ("no_memory", "Ask for a smaller --context.")
        )
        self.assertIn("cannot quantise", self.failure(quantize="int8")["message"])
        self.assertIn('no precision "float8"', self.failure(precision="float8")["message"])
        file = self.root / "other.safetensors"
        file.write_bytes((self.model / "model.safetensors").read_bytes())
        (self.root / "config.json").write_bytes((self.model / "config.json").read_bytes())
        self.assertIn("vLLM takes a folder", self.failure(model=str(file))["message"])
        host = self.start(FAKE_VLLM="half")
        self.load(host)
        error = host.ask("logits", ids=[1, 2], path=str(self.root / "logits"))["error"]
        self.assertIn("did not score the whole vocabulary", error["message"])

    def test_on_a_cpu(self):
        """Without a GPU it is a row that says why."""
        told = prony(
            *("bench", "--model-path", self.model, "--framework", "vllm", "native-f32"),
            *("--quick", "--iterations", "2"),
            PRONY_ENGINE_PATH=str(self.root / "engines"),
            PRONY_STORE=str(self.root / "store.db"),
        )
        self.assertIn("it does not run on device cpu; use --device cuda", told.stdout + told.stderr)


if __name__ == "__main__":
    unittest.main()
