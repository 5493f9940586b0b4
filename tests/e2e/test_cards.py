"""The native engine over several cards, with drivers and an NCCL that the tests made up: what is
exchanged between which threads is real, the numbers are not."""

import json
import unittest

from test_gpu import FAKE, KERNELS, Gpu

TWO = "count=2 major=8"


@unittest.skipUnless(KERNELS, "this build has no CUDA kernels")
class Cards(Gpu):
    def cards(self, *words, nccl="", timeout=5, library=None, status=0, fake=TWO, nvml="count=2"):
        """The output of a command with --device cuda."""
        environment = {"FAKE_NCCL": nccl, "PRONY_SHARD_TIMEOUT": str(timeout)}
        environment["PRONY_NCCL"] = str(library or FAKE / "libnccl.so.2")
        run = self.prony(
            *words, "--device", "cuda", status=status, fake=fake, nvml=nvml, environment=environment
        )
        return run.stderr if status else run.stdout

    def split(self, *words, **options):
        return self.cards(
            "engines", "run", "native-f16", "--size", "tiny", "--shard", 2, *words, **options
        )


class Work(Cards):
    def test_two_cards_make_tokens(self):
        for quantize in "none", "int8":
            shown = self.split("--quantize", quantize)
            self.assertIn("cuda steps kernels, Fake GPU, 2 cards by NCCL", shown)
            self.assertEqual(shown.count("id 7\n"), 8)
            # Of two cards of 1 GiB all but 64 MiB.
            self.assertIn("device 2.013 GB, peak 2.013", shown)

    def test_it_is_a_column_with_what_it_exchanged(self):
        output = self.root / "shards.json"
        self.cards(
            *("bench", "--model-path", self.model, "--quick", "--no-fair-comparison"),
            *("--framework", "native-f16", "--shard", 1, 2, "--output", output),
        )
        whole, parts = json.loads(output.read_text())["results"]
        self.assertIsNone(whole["metrics"]["exchanged_kb_per_token"]["value"])
        # Of the tiny model, 64 wide: its embedding, two sums in each of two layers, and the best word.
        exchanged = (64 * 4 * 5 + 8) / 1e3
        self.assertAlmostEqual(parts["metrics"]["exchanged_kb_per_token"]["value"], exchanged)
        self.assertIsNotNone(parts["metrics"]["exchange_ms_per_token"]["value"])
        # Both cards of the driver are as fast, and the tests' driver has no clock of its own.
        rate, rates = (row["metrics"]["bandwidth_gb_per_second"]["value"] for row in (whole, parts))
        self.assertAlmostEqual(rates, 2 * rate)
        self.assertGreater(parts["metrics"]["limit_percent"]["value"], 0)
        self.assertEqual(
            parts["metrics"]["idle_power_w"]["why"],
            "energy is counted of one card, and this is split over several",
        )

    def test_talking(self):
        self.cards(
            *("--model", self.model, "--prompt", "a", "--max-tokens", 3),
            *("--framework", "native-f16", "--shard", 2),
        )


class Refused(Cards):
    def test_more_parts_than_cards(self):
        error = self.split(status=1, fake="count=1 major=8")
        self.assertIn(
            "a model cannot be split over 2 GPUs: there is 1. Use a smaller --shard", error
        )
        bench = ("bench", "--model-path", self.model, "--framework", "native-f16", "--shard", 2)
        error = self.cards(*bench, status=1, nvml="count=1")
        self.assertIn("cannot be split over 2 devices: there is 1. Here --shard can be: 1.", error)

    def test_no_nccl(self):
        error = self.split(status=1, library="/nowhere/libnccl.so.2")
        self.assertIn("a model split over GPUs needs NCCL, which cannot be loaded (/nowhere", error)
        self.assertIn("or set PRONY_NCCL to its libnccl.so.2.", error)

    def test_an_nccl_that_does_not_do(self):
        error = self.split(status=1, nccl="version=21300")
        self.assertIn("NCCL is too old: 2.13.0, and 2.14 is needed. Install NCCL 2", error)
        error = self.split(status=1, library=FAKE / "old/libnccl.so.2")
        self.assertIn("this NCCL has no ncclCommGetAsyncError. Install NCCL 2", error)

    def test_a_card_without_memory(self):
        error = self.split("--no-memory-check", status=1, fake=f"{TWO} cuMemAlloc_v2=2")
        self.assertIn("Error: card 0 of 2: out of GPU memory", error)


class Lost(Cards):
    def test_cards_that_cannot_be_connected(self):
        error = self.split(status=1, nccl="ncclCommInitAll=1")
        self.assertIn("cannot connect 2 cards: unhandled cuda error (NCCL 2.29.7: Cuda", error)

    def test_a_card_that_fails(self):
        error = self.split(status=1, nccl="ncclAllReduce=1 rank=1 after=3")
        self.assertIn("Error: card 1 of 2: cannot exchange with the other cards: unhandled", error)
        self.assertIn("native: the worker ended when it should generate", error)

    def test_a_card_that_fails_when_exchanges_are_timed(self):
        # After those of a prompt and of two steps: of the one that is done first, and the recorded.
        error = self.split(status=1, nccl="ncclAllReduce=1 rank=1 after=20")
        self.assertIn("Error: card 1 of 2: cannot exchange with the other cards: unhandled", error)

    def test_a_card_that_hangs(self):
        error = self.split(status=1, nccl="hang=1 rank=1 after=10", timeout=1)
        self.assertIn("Error: the 2 cards have waited for each other for 1 s in an exchange", error)
        self.assertIn("have not returned for card 1", error)

    def test_nccl_knows_who_it_was(self):
        error = self.split(status=1, nccl="hang=1 async=6 rank=1 after=10", timeout=1)
        self.assertIn("Error: card 1 of 2: cannot exchange: remote process exited", error)


if __name__ == "__main__":
    unittest.main()
