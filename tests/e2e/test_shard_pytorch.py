"""PyTorch's model split over two ranks by torch.distributed: what they say, and how they end."""

import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from shard_case import ShardCase
from test_python_engines import ENGINES, prony
from worker_host import Host

LOAD = {"device": "cpu", "precision": "", "quantize": "", "threads": 2, "context": 128}
PROMPT = list(range(1, 40))
EAGER, COMPILED = ("pytorch-base", ""), ("pytorch-opt-no-half", "reduce-overhead")


def ranks_of(worker):
    """Processes that a worker has started as ranks."""
    listed = subprocess.run(
        ["ps", "--ppid", str(worker), "-o", "pid=,args="], capture_output=True, text=True
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "worker.py rank" in line]


class ShardPyTorch(ShardCase):
    ENGINE, VERSION, PROMPT = "pytorch", "2.15.0", PROMPT

    def start(self, shard=2, variant=EAGER, quantize="", model=None, rank_1="", **environment):
        """rank_1: what other ranks than the first run before anything else."""
        scratch = self.enterContext(tempfile.TemporaryDirectory())
        self.log = self.enterContext(tempfile.TemporaryFile("w+"))
        first = f"import os, sys\nif 'rank' in sys.orig_argv:\n    {rank_1 or 'pass'}\n"
        (Path(scratch) / "sitecustomize.py").write_text(first)
        environment |= {"PYTHONPATH": f"{scratch}:{ENGINES}/sdk", "PRONY_ENGINE_SCRATCH": scratch}
        environment |= {"PRONY_ENGINE_CACHE": str(self.folder / "compiled")}
        command = [self.python, ENGINES / "pytorch/worker.py"]
        host = Host(command, self.folder, environment, self.log)
        self.addCleanup(host.process.kill)
        options = {"precision": "float32", "compile": variant[1]}
        load = {**LOAD, "variant": variant[0], "options": options, "quantize": quantize}
        return host, host.ask("load", model=str(model or self.model), shard=shard, **load)

    def assert_nothing_left(self, ranks):
        end = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in ranks) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual([pid for pid in ranks if Path(f"/proc/{pid}").exists()], [])

    def test_two_say_what_one_says(self):
        host, _ = self.start(1)
        greedy, sampled, logits = self.answers(host)
        host.close()
        self.assertNotIn("exchanged", greedy)
        for variant in (EAGER, COMPILED):
            with self.subTest(variant):
                host, loaded = self.start(2, variant)
                self.assertEqual(loaded["threads"], 2)
                self.assertEqual(loaded["kv_token_bytes"], 512)
                greedy_2, sampled_2, logits_2 = self.answers(host)
                self.assertEqual((greedy["ids"], sampled), (greedy_2["ids"], sampled_2))
                self.assert_same_logits(logits, logits_2, 1e-4)
                # 5 sums of 64 float32 a token, and the best words of two ranks in float64.
                bytes_exchanged = 19 * (5 * 64 * 4 + 2 * 2 * 8)
                self.assertEqual(greedy_2["exchanged"]["token_bytes"], bytes_exchanged)
                (rank,) = ranks_of(host.process.pid)
                host.ask("bye")
                host.close()
                self.assert_nothing_left([rank])

    def test_parts_hold_the_numbers_of_the_whole(self):
        """Scales are of whole rows, also where columns are split, and held by both then, as norms are.
        Eager, since to compile takes minutes."""
        model = self.folder / "wide.gguf"
        shape = ("--hidden", 128, "--heads", 8, "--kv-heads", 2, "--ffn", 256)
        prony("model", "make", "--output", model, *shape)
        for quantize, scales in (("int8", 2 * 2 * 128), ("nf4", 0)):
            with self.subTest(quantize):
                form = {"variant": EAGER, "quantize": quantize, "model": model}
                one, whole = self.start(1, **form)
                two, parts = self.start(2, **form)
                self.assertEqual(parts["precision"], quantize)
                extra = parts["weight_bytes"] - whole["weight_bytes"]
                self.assertEqual(extra, 4 * (5 * 128 + scales))
                expected, ours = self.logits(one, PROMPT[:8]), self.logits(two, PROMPT[:8])
                self.assert_same_logits(expected, ours, 1e-4)
                one.close()
                two.close()

    def test_blocks_are_not_cut(self):
        host, loaded = self.start(2, EAGER, "nf4")
        self.assertIn("64 for 2 parts", loaded["error"]["message"])
        host.close()

    def broken(self, do, **environment):
        """What the log ends with once something was done to rank 1."""
        host, _ = self.start(**environment)
        ranks = ranks_of(host.process.pid)
        os.kill(ranks[0], do)
        with self.assertRaises(AssertionError):
            host.ask("generate", prompt=PROMPT, tokens=20)
        host.close()
        self.assertEqual(host.process.returncode, 1)
        self.assert_nothing_left(ranks)
        return self.said()

    def said(self):
        """The last line of the log."""
        self.log.seek(0)
        return self.log.read().splitlines()[-1]

    def test_a_rank_that_dies_is_named(self):
        said = self.broken(signal.SIGKILL)
        self.assertRegex(said, "^Error: rank 1 of 2 was killed by signal 9")

    def test_a_rank_that_hangs_is_named(self):
        said = self.broken(signal.SIGSTOP, PRONY_SHARD_TIMEOUT="5")
        self.assertRegex(said, "^Error: rank 1 of 2 did not come to an exchange for 5 s")

    def test_a_rank_that_ends_while_it_loads_is_named(self):
        for end, words in (
            ("os.kill(os.getpid(), 9)", "was killed by signal 9"),
            ("os._exit(3)", "ended with status 3"),
        ):
            with self.subTest(words):
                with self.assertRaises(AssertionError):
                    self.start(rank_1=end)
                self.assertEqual(self.said(), f"Error: rank 1 of 2 {words}")

    def test_a_rank_that_has_another_model_is_named(self):
        """Of the same shape, in the folder that rank 1 is in."""
        other = self.folder / "other"
        other.mkdir()
        prony("model", "make", "--output", other / "tiny.gguf", "--seed", 2)
        host, loaded = self.start(
            model="/proc/self/cwd/tiny.gguf", rank_1=f"os.chdir({str(other)!r})"
        )
        self.assertEqual(loaded["error"]["message"], "rank 1 of 2 has another model than rank 0")
        self.assertEqual(ranks_of(host.process.pid), [])
        host.ask("bye")
        host.close()
        self.assertEqual(host.process.returncode, 0)

    def test_nothing_is_left_when_rank_0_is_killed(self):
        host, _ = self.start()
        ranks = ranks_of(host.process.pid)
        self.assertEqual(len(ranks), 1)
        host.process.kill()
        host.close()
        self.assert_nothing_left(ranks)

    def test_what_does_not_divide_is_refused(self):
        host, loaded = self.start(4)
        self.assertEqual(loaded["error"]["code"], "unsupported")
        self.assertEqual(ranks_of(host.process.pid), [])
        host.close()


if __name__ == "__main__":
    unittest.main()
