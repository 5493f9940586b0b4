"""A model split over two ranks of the native engine, by MPI: what they say, and how they end."""

import array
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from bench_case import PRONY, BenchCase
from engine_folder import BUILD
from worker_host import Host

WORKER = BUILD / "engines/native/worker"
LOAD = {"device": "cpu", "precision": "", "quantize": "", "threads": 2, "context": 256}
WIDE = ("--hidden", "128", "--heads", "8", "--kv-heads", "2", "--ffn", "256")


def argument_and_environment(pid):
    """Of a process; what has ended has none."""
    try:
        process = Path(f"/proc/{pid}")
        return [(process / name).read_bytes().split(b"\0") for name in ("cmdline", "environ")]
    except OSError:
        return [[], []]


def ranks_of(scratch):
    """The processes of the ranks that have files in this folder, and mpirun's: pids by rank."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        arguments, environment = argument_and_environment(entry)
        # The guard's rm has the folder among its arguments as well.
        program = arguments[0].rpartition(b"/")[2] if arguments else b""
        if program not in (b"mpirun", b"worker"):
            continue
        if not any(scratch.encode() in word for word in arguments):
            continue
        rank = [w for w in environment if w.startswith(b"OMPI_COMM_WORLD_RANK=")]
        found[int(rank[0].split(b"=")[1]) if rank else "mpirun"] = int(entry)
    return found


class Shard(BenchCase):
    def setUp(self):
        super().setUp()
        self.scratch = self.enterContext(tempfile.TemporaryDirectory())
        self.log = self.enterContext(tempfile.TemporaryFile("w+"))

    def start(self, shard=2, form=None, **environment):
        """form: what else the load says."""
        host = Host(
            [WORKER], "/tmp", {"PRONY_ENGINE_SCRATCH": self.scratch, **environment}, self.log
        )
        self.addCleanup(host.process.kill)
        host.ask("hello")
        load = {"model": str(self.model), "variant": "native-f32", "shard": shard, **LOAD}
        return host, host.ask("load", **{**load, **(form or {})})

    def wide_model(self):
        """Of which two parts have whole blocks of nf4."""
        path = self.root / "wide.gguf"
        command = [PRONY, "model", "make", "--output", path, *WIDE]
        subprocess.run(command, check=True, capture_output=True)
        return str(path)

    def logits(self, host, ids):
        path = Path(self.scratch) / "logits"
        self.assertNotIn("error", host.ask("logits", ids=ids, path=str(path)))
        return array.array("f", path.read_bytes())

    def differ_most(self, ours, theirs):
        return max(abs(a - b) for a, b in zip(ours, theirs, strict=True))

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def assert_nothing_left(self):
        end = time.monotonic() + 10
        while ranks_of(self.scratch) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(ranks_of(self.scratch), {})

    def test_two_say_what_one_says(self):
        answers = []
        for shard in (1, 2):
            host, loaded = self.start(shard)
            self.assertNotIn("error", loaded)
            self.assertEqual((loaded["threads"], loaded["kv_token_bytes"]), (2, 512))
            ids = host.ask("generate", prompt=list(range(1, 100)), tokens=50)
            logits = self.logits(host, list(range(1, 100)))
            streamed = host.ask(
                "generate", prompt=[1, 2, 3], tokens=20, stream=True, temperature=0.9, seed=3
            )
            answers.append((ids["ids"], streamed["ids"], logits))
            self.assertEqual("exchanged" in ids, shard == 2)
            self.assertEqual(len(ranks_of(self.scratch)), 3 if shard == 2 else 0)
            host.ask("bye")
            host.close()
            self.assertEqual(host.process.returncode, 0, self.said())
            self.assert_nothing_left()
        (ids, streamed, logits), (ids_2, streamed_2, logits_2) = answers
        self.assertEqual((ids, streamed), (ids_2, streamed_2))
        self.assertLess(self.differ_most(logits, logits_2), 1e-4)
        # 5 exchanges of 64 floats a token, an order of 272 bytes and the best of the other rank.
        host, _ = self.start()
        exchanged = host.ask("generate", prompt=[1], tokens=11)["exchanged"]
        self.assertEqual(exchanged["token_bytes"], 10 * (5 * 64 * 4 + 272 + 8))
        host.ask("bye")
        host.close()

    def test_parts_hold_the_numbers_of_the_whole(self):
        """Scales are of whole rows, also where columns are split, and held by both then, as norms are."""
        model, ids, words = self.wide_model(), list(range(1, 100)), 512 * 128
        for quantize, scales, embedding in (
            ("int8", 2 * 2 * 128, words + 512 * 4),
            ("nf4", 0, 2 * words),
        ):
            with self.subTest(quantize):
                form = {"model": model, "variant": "native-f16", "quantize": quantize}
                one, whole = self.start(1, form)
                two, parts = self.start(2, form)
                self.assertEqual(parts["precision"], quantize)
                extra = parts["weight_bytes"] - whole["weight_bytes"]
                self.assertEqual(extra, 4 * (5 * 128 + scales))
                for loaded in (whole, parts):
                    self.assertEqual(loaded["embedding_bytes"], embedding)
                plain, _ = self.start(1, {"model": model})
                logits = [self.logits(host, ids) for host in (plain, one, two)]
                self.assertGreater(self.differ_most(logits[0], logits[1]), 1e-2)
                # Keys and values are rounded to float16, whose last digit a sum's last digit may turn.
                self.assertLess(self.differ_most(logits[1], logits[2]), 1e-3)
                greedy = [host.ask("generate", prompt=ids, tokens=20)["ids"] for host in (one, two)]
                self.assertEqual(*greedy)
                for host in (plain, one, two):
                    host.ask("bye")
                    host.close()
        self.assert_nothing_left()

    def test_blocks_are_not_cut(self):
        """The worker answers so, and goes on; a bench ends before it begins."""
        form = {"variant": "native-f16", "quantize": "nf4"}
        host, loaded = self.start(2, form)
        self.assertIn("2 parts of the model would cut nf4's blocks", loaded["error"]["message"])
        load = {**LOAD, "model": str(self.model), "shard": 2, **form, "quantize": "int8"}
        self.assertEqual(host.ask("load", **load)["precision"], "int8")
        host.ask("bye")
        host.close()
        words = ("--framework", "native-f16", "--quantize", "nf4", "--shard", 2, "--threads", 2)
        result = self.bench("--model-path", self.model, *words, status=1)
        self.assertIn("cut nf4's blocks of 64 weights. Use --quantize int8", result.stderr)

    def test_quantised_parts_pass_the_gate(self):
        out = self.store.with_suffix(".json")
        words = ("--framework", "native-f16", "--quantize", "int8", "nf4", "--shard", 1, 2)
        more = ("--threads", 2, "--iterations", 4, "--quick", "--output", out)
        self.bench("--model-path", self.wide_model(), *words, *more)
        rows = {row["framework"]: row for row in json.loads(out.read_text())["results"]}
        parts = {"native-f16+int8+shard2", "native-f16+nf4+shard2"}
        self.assertEqual(set(rows), {"native-f16+int8", "native-f16+nf4", *parts})
        for name, row in rows.items():
            with self.subTest(name):
                self.assertEqual(row["equivalence"]["verdict"], "equivalent")
        for name in parts:
            self.assertGreater(rows[name]["metrics"]["shard_efficiency_percent"]["value"], 0)

    def test_the_table_shows_what_it_costs(self):
        out = self.store.with_suffix(".json")
        words = ("--framework", "native-f32", "--shard", 1, 2, "--threads", 2, "--iterations", 8)
        result = self.bench("--model-path", self.model, "--quick", *words, "--output", out)
        one, two = json.loads(out.read_text())["results"]
        self.assertEqual((one["shard"], two["shard"]), (1, 2))
        for title in ("Shard Efficiency (%)", "Exchanged per Token (kB)", "Exchange Time (ms)"):
            self.assertIn(title, result.stdout)
        self.assertEqual(two["equivalence"]["verdict"], "equivalent")
        self.assertAlmostEqual(two["metrics"]["exchanged_kb_per_token"]["value"], 1.56)
        self.assertGreater(two["metrics"]["shard_efficiency_percent"]["value"], 0)

    def test_what_would_do_is_listed(self):
        words = ("--model-path", self.model, "--framework", "native-f32", "--shard")
        result = self.bench(*words, 3, "--threads", 4, status=1)
        self.assertIn("For this model --shard can be: 1, 2.", result.stderr)
        result = self.bench(*words, 2, "--threads", 1, status=1)
        self.assertIn("there is 1. Here --shard can be: 1.", result.stderr)

    def broken(self, do, rank=1, **environment):
        """What the log says once something was done to a rank of a generation."""
        host, _ = self.start(**environment)
        os.kill(ranks_of(self.scratch)[rank], do)
        with self.assertRaises(AssertionError):
            host.ask("generate", prompt=[1, 2], tokens=200)
        host.close()
        self.assertEqual(host.process.returncode, 1)
        self.assert_nothing_left()
        return self.said().splitlines()[-1]

    def test_a_rank_that_dies_is_named(self):
        for rank in (1, 0):
            with self.subTest(rank):
                said = self.broken(signal.SIGKILL, rank)
                self.assertRegex(said, rf"^Error: .*rank {rank} .*signal 9")

    def test_a_rank_that_hangs_is_named(self):
        said = self.broken(signal.SIGSTOP, PRONY_SHARD_TIMEOUT="1")
        self.assertRegex(said, r"^Error: rank 1 of 2 did not come to an exchange for 1 s")

    def path_with(self, *command):
        """A PATH whose mpirun starts rank 1 by these words before the worker's own."""
        tools = Path(self.scratch) / "tools"
        tools.mkdir()
        (tools / "mpirun").write_text(
            f"#!{sys.executable}\nimport os, sys\nwords = sys.argv[1:]\n"
            f"at = words.index({str(WORKER)!r})\nwords[words.index('-n') + 1] = '1'\n"
            f"other = [':', '-n', '1', *{command!r}, *words[at:]]\n"
            f"os.execv({shutil.which('mpirun')!r}, ['mpirun', *words, *other])\n"
        )
        (tools / "mpirun").chmod(0o755)
        return f"{tools}:{os.environ['PATH']}"

    def test_a_rank_that_dies_before_it_has_come_is_named(self):
        with self.assertRaises(AssertionError):
            self.start(PATH=self.path_with("sh", "-c", "kill -9 $$"))
        named = r"^Error: .*(rank 1 .*signal 9|mpirun does not say which)"
        self.assertRegex(self.said().splitlines()[-1], named)
        self.assert_nothing_left()

    def test_an_mpirun_that_does_not_end_is_ended(self):
        real = shutil.which("mpirun")
        tools = Path(self.scratch) / "tools"
        tools.mkdir()
        (tools / "mpirun").write_text(f'#!/bin/sh\n{real} "$@"\nexec sleep 999\n')
        (tools / "mpirun").chmod(0o755)
        host, _ = self.start(PATH=f"{tools}:{os.environ['PATH']}")
        os.kill(ranks_of(self.scratch)[1], signal.SIGKILL)
        host.process.wait(timeout=60)
        host.close()
        self.assertRegex(self.said().splitlines()[-1], "^Error: .*rank 1 .*signal 9")
        self.assert_nothing_left()

    def test_a_rank_that_cannot_hold_its_part_is_named(self):
        with self.assertRaises(AssertionError):
            self.start(2, {"context": 1 << 30})
        said = r"^Error: rank [01] of 2: no memory for the keys and values of 1073741824 positions"
        self.assertRegex(self.said().splitlines()[-1], said)
        self.assert_nothing_left()

    def test_a_rank_that_has_another_model_is_named(self):
        """mpirun gives rank 1 a cache folder of its own, in which the model has another hash."""
        cache = self.root / "other-cache"
        host, _ = self.start(PRONY_CACHE=str(cache))
        host.ask("bye")
        host.close()
        (hash_file,) = (cache / "hashes").iterdir()
        hash_file.write_text("f" * 64 + "\n")
        path = self.path_with("env", f"PRONY_CACHE={cache}")
        host, loaded = self.start(PATH=path, PRONY_CACHE=str(self.root / "cache"))
        self.assertRegex(
            loaded["error"]["message"],
            "^rank 1 of 2 has another model: the SHA-256 of its weights is ffffffffffff",
        )
        host.ask("bye")
        host.close()
        self.assertEqual(host.process.returncode, 0)

    def test_errors_of_the_load_are_answers(self):
        host, _ = self.start()
        load = {"model": str(self.model), "variant": "native-f32", "shard": 2, **LOAD}
        error = host.ask("load", **{**load, "model": "/nowhere.gguf"})["error"]
        self.assertEqual(error["code"], "not_found")
        error = host.ask("load", **{**load, "shard": 1})["error"]
        self.assertIn("has been split into 2 ranks", error["message"])
        self.assertNotIn("error", host.ask("load", **load))
        host.ask("bye")
        host.close()

    def test_without_mpirun_its_package_is_named(self):
        with self.assertRaises(AssertionError):
            self.start(PATH="/nowhere")
        self.assertIn("apt-get install openmpi-bin", self.said().splitlines()[-1])

    def bench_begin(self, *words):
        """A bench that is through the gate, and whose ranks are there."""
        basics = "--framework native-f32 native-f16 --shard 2 --threads 2 --iterations 150"
        bench = subprocess.Popen(
            self.arguments("--model-path", self.model, *basics.split(), *words),
            env={**self.environment, "TMPDIR": self.scratch},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(bench.stderr.close)
        self.addCleanup(bench.kill)
        while not bench.stderr.readline().startswith("equivalence  native-f16"):
            self.assertIsNone(bench.poll())
        end = time.monotonic() + 60
        while len(ranks_of(self.scratch)) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(set(ranks_of(self.scratch)), {0, 1, "mpirun"})
        return bench

    def test_a_bench_names_the_rank_that_was_killed_and_goes_on(self):
        out = self.store.with_suffix(".json")
        bench = self.bench_begin("--quick", "--output", out)
        os.kill(ranks_of(self.scratch)[1], signal.SIGKILL)
        bench.communicate(timeout=120)
        failed, good = json.loads(out.read_text())["results"]
        self.assertRegex(failed["failure"], "Error: mpirun .*rank 1 .*signal 9")
        self.assertNotIn("---", failed["failure"])
        self.assertGreater(good["avg_tokens_per_second"], 0)
        self.assert_nothing_left()

    def test_nothing_is_left_when_the_host_is_killed(self):
        bench = self.bench_begin("--blocks", "9")
        bench.kill()
        bench.wait()
        self.assert_nothing_left()


if __name__ == "__main__":
    if not shutil.which("mpirun"):
        print("There is no mpirun here: apt-get install openmpi-bin")
        sys.exit(77)
    unittest.main()
