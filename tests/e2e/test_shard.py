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

    def start(self, shard=2, **environment):
        host = Host(
            [WORKER], "/tmp", {"PRONY_ENGINE_SCRATCH": self.scratch, **environment}, self.log
        )
        self.addCleanup(host.process.kill)
        host.ask("hello")
        load = {"model": str(self.model), "variant": "native-f32", "shard": shard, **LOAD}
        return host, host.ask("load", **load)

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
            path = f"{self.scratch}/logits{shard}"
            host.ask("logits", ids=list(range(1, 100)), path=path)
            streamed = host.ask(
                "generate", prompt=[1, 2, 3], tokens=20, stream=True, temperature=0.9, seed=3
            )
            answers.append((ids["ids"], streamed["ids"], array.array("f", Path(path).read_bytes())))
            self.assertEqual("exchanged" in ids, shard == 2)
            self.assertEqual(len(ranks_of(self.scratch)), 3 if shard == 2 else 0)
            host.ask("bye")
            host.close()
            self.assertEqual(host.process.returncode, 0, self.said())
            self.assert_nothing_left()
        (ids, streamed, logits), (ids_2, streamed_2, logits_2) = answers
        self.assertEqual((ids, streamed), (ids_2, streamed_2))
        self.assertEqual(len(logits), len(logits_2))
        self.assertLess(max(abs(a - b) for a, b in zip(logits, logits_2, strict=True)), 1e-4)
        # 5 exchanges of 64 floats a token, an order of 272 bytes and the best of the other rank.
        host, _ = self.start()
        exchanged = host.ask("generate", prompt=[1], tokens=11)["exchanged"]
        self.assertEqual(exchanged["token_bytes"], 10 * (5 * 64 * 4 + 272 + 8))
        host.ask("bye")
        host.close()

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

    def broken(self, do, **environment):
        """What the log says once something was done to rank 1 of a generation."""
        host, _ = self.start(**environment)
        os.kill(ranks_of(self.scratch)[1], do)
        with self.assertRaises(AssertionError):
            host.ask("generate", prompt=[1, 2], tokens=200)
        host.close()
        self.assertEqual(host.process.returncode, 1)
        self.assert_nothing_left()
        return self.said().splitlines()[-1]

    def test_a_rank_that_dies_is_named(self):
        self.assertRegex(self.broken(signal.SIGKILL), r"^Error: .*rank 1 .*signal 9")

    def test_a_rank_that_hangs_is_named(self):
        said = self.broken(signal.SIGSTOP, PRONY_SHARD_TIMEOUT="1")
        self.assertRegex(said, r"^Error: rank 1 of 2 did not come to an exchange for 1 s")

    def test_a_rank_that_has_another_model_is_named(self):
        """mpirun gives rank 1 a cache folder of its own, in which the model has another hash."""
        cache = self.root / "other-cache"
        host, _ = self.start(PRONY_CACHE=str(cache))
        host.ask("bye")
        host.close()
        (hash_file,) = (cache / "hashes").iterdir()
        hash_file.write_text("f" * 64 + "\n")
        tools = self.root / "tools"
        tools.mkdir()
        (tools / "mpirun").write_text(
            f"#!{sys.executable}\nimport os, sys\nwords = sys.argv[1:]\n"
            f"at = words.index({str(WORKER)!r})\nwords[words.index('-n') + 1] = '1'\n"
            f"other = [':', '-n', '1', 'env', 'PRONY_CACHE={cache}', *words[at:]]\n"
            f"os.execv({shutil.which('mpirun')!r}, ['mpirun', *words, *other])\n"
        )
        (tools / "mpirun").chmod(0o755)
        host, loaded = self.start(
            PATH=f"{tools}:{os.environ['PATH']}", PRONY_CACHE=str(self.root / "cache")
        )
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

    def test_nothing_is_left_when_the_host_is_killed(self):
        words = "--framework native-f32 --shard 2 --threads 2 --iterations 100 --blocks 9"
        bench = subprocess.Popen(
            [PRONY, "bench", "--model-path", self.model, *words.split()],
            env={**os.environ, "PRONY_STORE": str(self.store), "TMPDIR": self.scratch},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 60
        while len(ranks_of(self.scratch)) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(set(ranks_of(self.scratch)), {0, 1, "mpirun"})
        bench.kill()
        bench.wait()
        self.assert_nothing_left()


if __name__ == "__main__":
    if not shutil.which("mpirun"):
        print("There is no mpirun here: apt-get install openmpi-bin")
        sys.exit(77)
    unittest.main()
