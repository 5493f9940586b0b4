"""Native, PyTorch and tinygrad split over two devices of the CPU in one table, and one of them killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from bench_case import BenchCase
from command import prony
from test_python_engines import cache_folder

BRIEF = ("--threads", 2, "--quick", "--gate-context", 16)


def words_of(pid):
    """A process's command line; what has ended has none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return [b""]


class ShardTable(BenchCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for engine in ("pytorch", "tinygrad"):
            done = prony("engines", "install", engine)
            assert done.returncode == 0, done.stderr

    def setUp(self):
        super().setUp()
        self.environment["PRONY_CACHE"] = str(cache_folder())
        self.out = self.store.with_suffix(".json")

    def begin(self, *words):
        arguments = self.arguments("--model-path", self.model, *words, "--output", self.out)
        bench = subprocess.Popen(
            arguments,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(bench.communicate)
        self.addCleanup(bench.kill)
        return bench

    def results(self):
        return {row["framework"]: row for row in json.loads(self.out.read_text())["results"]}

    def test_whole_and_in_parts(self):
        frameworks = ("--framework", "native-f32", "pytorch-base", "tinygrad")
        bench = self.begin(*frameworks, "--shard", 1, 2, *BRIEF, "--iterations", 8)
        table, said = bench.communicate()
        self.assertEqual(bench.returncode, 0, said)
        rows = self.results()
        parts = [name for name in rows if name.endswith("+shard2")]
        self.assertEqual(len(rows), 6)
        self.assertEqual(parts, [f"{name}+shard2" for name in frameworks[1:]])
        for name, row in rows.items():
            self.assertEqual(row["equivalence"]["verdict"], "equivalent", name)
        for name in parts:
            metrics = rows[name]["metrics"]
            self.assertGreater(metrics["shard_efficiency_percent"]["value"], 0)
            for metric in ("exchanged_kb_per_token", "exchange_ms_per_token"):
                if name.startswith("tinygrad"):
                    self.assertEqual(metrics[metric]["why"], "the engine does not tell")
                else:
                    self.assertGreater(metrics[metric]["value"], 0)
        # Five sums of 64 float32; native's order and best word, or the best of two ranks in float64.
        exchanged = [rows[name]["metrics"]["exchanged_kb_per_token"]["value"] for name in parts[:2]]
        self.assertEqual(exchanged, [(1280 + 280) / 1000, (1280 + 32) / 1000])
        table = " ".join(table.split())
        self.assertIn("for TinyGrad x2: the engine does not tell", table)
        for title, exchanged in (
            ("Native-F32", "; a token exchanges 1.56 kB in [0-9.]+ ms"),
            ("PyTorch-Base", "; a token exchanges 1.31 kB in [0-9.]+ ms"),
            ("TinyGrad", ""),
        ):
            against = f"{title} x2 against {title}: running [^:]* an efficiency of [0-9]+ %"
            self.assertRegex(table, against + exchanged + "[.]")
        self.assertIn("tinygrad+shard2 computed with 1 of the 2 threads", table)

    def test_the_efficiency_says_what_it_needs(self):
        bench = self.begin("--framework", "native-f32", "--shard", 2, *BRIEF, "--iterations", 4)
        table = " ".join(bench.communicate()[0].split())
        self.assertIn("Shard Efficiency (%): needs the same variant with --shard 1", table)

    def workers(self, engine, ending):
        """Pids of an engine's processes in this bench whose command lines end so."""
        for pid in self.workers_left():
            words = words_of(pid)
            if f"/{engine}/".encode() in words[0] and b" ".join(words).endswith(ending):
                yield int(pid)

    def test_what_is_killed_is_named_and_the_others_go_on(self):
        frameworks = ("--framework", "pytorch-base", "tinygrad", "native-f32")
        bench = self.begin(*frameworks, "--shard", 2, *BRIEF, "--iterations", 150)
        for name in frameworks[1:]:
            self.assertIn(f"equivalence  {name}+shard2 equivalent", bench.stderr.readline())
        doomed = {"pytorch": b"worker.py rank 1", "tinygrad": b"worker.py"}
        while doomed:
            self.assertIsNone(bench.poll())
            for engine in list(doomed):
                for pid in self.workers(engine, doomed[engine]):
                    os.kill(pid, signal.SIGKILL)
                    doomed.pop(engine)
                    break
            time.sleep(0.05)
        said = bench.communicate()[1]
        self.assertEqual(bench.returncode, 0, said)
        rows = self.results()
        self.assertRegex(
            rows["pytorch-base+shard2"]["failure"], "rank 1 of 2 was killed by signal 9"
        )
        self.assertRegex(rows["tinygrad+shard2"]["failure"], "killed by signal 9")
        self.assertGreater(rows["native-f32+shard2"]["avg_tokens_per_second"], 0)
        self.expect_no_workers()


if __name__ == "__main__":
    if not shutil.which("mpirun"):
        print("There is no mpirun here: apt-get install openmpi-bin")
        sys.exit(77)
    unittest.main()
