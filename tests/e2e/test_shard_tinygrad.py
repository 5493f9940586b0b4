"""tinygrad's model split over two devices of the CPU."""

import json
import unittest

from engine_folder import BUILD
from shard_case import ShardCase
from test_python_engines import ENGINES, prony
from worker_host import Host

LOAD = {"variant": "tinygrad", "device": "cpu", "precision": "", "quantize": "", "options": {}}
PROMPT = [(i * 7919 + 13) % 512 for i in range(40)]


class ShardTinygrad(ShardCase):
    ENGINE, VERSION, PROMPT = "tinygrad", "0.14.0", PROMPT

    def load(self, shard, **more):
        environment = {"PYTHONPATH": str(ENGINES / "sdk")}
        environment["PRONY_ENGINE_CACHE"] = str(self.folder)
        environment["CC"] = "/bin/false"  # of the user, and nothing that tinygrad could use
        environment["LD_LIBRARY_PATH"] = str(BUILD / "tests/fake")  # the driver of "cuda"
        host = Host([self.python, "worker.py"], ENGINES / "tinygrad", environment)
        self.addCleanup(host.close)
        request = {"model": str(self.model), "shard": shard, "threads": 2, "context": 96}
        return host, host.ask("load", **{**LOAD, **request, **more})

    def wide_model(self):
        """Of which two parts can be quantised."""
        model = self.folder / "wide.gguf"
        shape = ("--layers", 1, "--hidden", 128, "--heads", 8, "--kv-heads", 2, "--ffn", 256)
        prony("model", "make", "--output", model, *shape)
        return model

    def test_two_say_what_one_says(self):
        host, whole = self.load(1)
        greedy, sampled, logits = self.answers(host)
        host, parts = self.load(2)
        self.assertNotIn("error", parts)
        greedy_2, sampled_2, logits_2 = self.answers(host)
        self.assertEqual((greedy["ids"], sampled), (greedy_2["ids"], sampled_2))
        self.assertNotIn("exchanged", greedy_2)  # tinygrad does not tell
        # Sums of parts, of which keys and values are rounded to float16.
        self.assert_same_logits(logits, logits_2, 1e-3 * (max(logits) - min(logits)))
        self.assertEqual(parts["kv_token_bytes"], whole["kv_token_bytes"])
        norms = 2 * 5 * 64  # of two layers and the output, on each device
        self.assertEqual(parts["weight_bytes"] - whole["weight_bytes"], norms)
        # 0.14 has one thread on a CPU, for all devices.
        self.assertEqual((parts["threads"], whole["threads"]), (1, 1))
        self.assertIn(", 2 devices", parts["detail"])
        self.trace(host)

    def test_parts_hold_the_numbers_of_the_whole(self):
        """Scales are of whole rows, also where columns are split, and held by both then, as norms are."""
        model = self.wide_model()
        for quantize, scales in (("int8", 4 * 2 * 128), ("nf4", 0)):
            with self.subTest(quantize):
                form = {"model": str(model), "quantize": quantize, "precision": "float32"}
                one, whole = self.load(1, **form)
                two, parts = self.load(2, **form)
                self.assertEqual(parts["precision"], quantize)
                extra = parts["weight_bytes"] - whole["weight_bytes"]
                self.assertEqual(extra, 4 * 3 * 128 + scales)
                expected, ours = self.logits(one, PROMPT[:8]), self.logits(two, PROMPT[:8])
                self.assert_same_logits(expected, ours, 1e-4)
                one.close()
                two.close()

    def test_cards_need_no_compiler_for_the_cpu(self):
        """With a driver whose kernels do nothing: its ids and logits mean nothing."""
        model = self.wide_model()
        anew = {"CCACHE": "0"}  # compiled, whatever the other tests have left
        for shard, quantize in ((1, ""), (2, ""), (2, "int8"), (2, "nf4")):
            with self.subTest(shard=shard, quantize=quantize):
                form = {"model": str(model), "device": "cuda", "quantize": quantize}
                host, reply = self.load(shard, options=anew, **form)
                self.assertNotIn("error", reply)
                self.assertNotIn("error", host.ask("generate", prompt=PROMPT, tokens=2))
                self.assertEqual(len(self.logits(host, PROMPT)), len(PROMPT) * 512)
                host.close()

    def trace(self, host):
        path = self.folder / "trace.json"
        host.ask("trace", path=str(path))
        host.ask("generate", prompt=PROMPT, tokens=2)
        self.assertNotIn("error", host.ask("trace", path=""))
        events = json.loads(path.read_text())["traceEvents"]
        self.assertTrue(any(e["ph"] == "X" and e["dur"] > 0 for e in events))

    def test_what_does_not_divide_is_refused(self):
        for more, words in (
            ({"shard": 4}, "does not split into 4 parts"),
            ({"shard": 2, "threads": 1}, "there are 1 devices for 2 parts"),
            ({"shard": 2, "quantize": "nf4"}, "64 for 2 parts"),
        ):
            with self.subTest(words):
                _, reply = self.load(more.pop("shard"), **more)
                self.assertEqual(reply["error"]["code"], "unsupported")
                self.assertIn(words, reply["error"]["message"])


if __name__ == "__main__":
    unittest.main()
