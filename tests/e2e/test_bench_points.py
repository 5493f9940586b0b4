"""prony bench beyond a plain run: sweeps, cold starts, energy, disturbances, the control."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import unittest
from pathlib import Path

from bench_case import PRONY, BenchCase, power
from engine_folder import WORKER, engine_write


class Points(BenchCase):
    def test_disturbed_block_is_done_again(self):
        """Beside a process that spins."""
        output = self.root / "disturbed.json"
        words = ["--model-path", self.model, "--framework", "slow", "--blocks", "1"]
        words += ["--iterations", "180", "--output", output]
        del self.environment["PRONY_REDO"]
        spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            result = self.bench(*words)
            attempts = "SELECT run, attempt FROM process ORDER BY id"
            self.assertEqual(self.rows(attempts), [(1, 0), (1, 1)])
            self.assertIn("disturbed: other programs used", result.stderr)
            self.assertIn("1 block was measured again", result.stdout.replace("\n", " "))
            self.assertIn("Disturbed Processes", result.stdout)
            note = (
                "1 block was disturbed and not measured again: block 1 (slow: other programs used"
            )
            self.assertIn(note, " ".join(result.stdout.split()))
            run = json.loads(output.read_text())
            self.assertEqual(run["run"]["blocks_redone"], 1)
            self.assertEqual(run["run"]["blocks_disturbed"], 1)
            self.assertEqual([s["attempt"] for s in run["results"][0]["samples"]], [1])
            self.assertGreater(run["results"][0]["samples"][0]["readings"]["foreign_cores"], 0.1)
            self.bench(*words, "--no-redo")
            self.assertEqual(self.rows(attempts), [(1, 0), (1, 1), (2, 0)])
        finally:
            spinner.kill()
            spinner.wait()

    def points(self, *words):
        """The points of a run, and of the same run gone on with after its first processes."""
        output = self.root / "points.json"
        self.bench("--model-path", self.model, "--framework", "quick", *words, "--output", output)
        points = json.loads(output.read_text())["points"]
        connection = sqlite3.connect(self.store)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM process WHERE point > 1")
        connection.execute("UPDATE run SET state = 'interrupted'")
        connection.commit()
        connection.close()
        self.bench("--resume", "--output", output)
        again = json.loads(output.read_text())["points"]
        for point, other in zip(points, again, strict=True):
            for key in ("prompt_tokens", "context", "pages", "compile_cache"):
                self.assertEqual(point[key], other[key])
        return points

    def test_sweep(self):
        table = self.root / "sweep.points.csv"
        words = ["--prompt-tokens", "16", "64", "--context", "128", "200", "--blocks", "2"]
        points = self.points(*words)
        lengths = [(point["prompt_tokens"], point["context"]) for point in points]
        self.assertEqual(lengths, [(16, 128), (16, 200), (64, 128), (64, 200)])
        for point in points:
            self.assertEqual(point["results"][0]["metrics"]["tpot_ms"]["blocks"], 2)
            self.assertIsNone(point["pages"])
        self.assertEqual(
            self.rows("SELECT point, prompt_tokens, count(*) FROM process GROUP BY point"),
            [(0, 16, 2), (1, 16, 2), (2, 64, 2), (3, 64, 2)],
        )
        result = subprocess.run(
            [PRONY, "report", "--output", table],
            env=self.environment,
            text=True,
            capture_output=True,
            check=True,
        )
        self.assertIn("TPOT 64 in 200 (ms)", result.stdout)
        lines = table.read_text().splitlines()
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[0].endswith(",fair_comparison,equivalence"))
        self.assertTrue(lines[1].endswith(",yes,not gated"))
        result = self.bench("--model-path", self.model, "--context", *range(200, 217), status=1)
        self.assertIn("16 values at most", result.stderr)

    def test_cold_starts(self):
        """Pages are out of the cache before a cold start, and a compile cache is as it should be."""
        cache = self.root / "cache-seen"
        cold = engine_write(self.root / "engines", "caching", ["./worker"], {"token_us": 100})
        (cold / "worker").write_text(
            f'#!/bin/sh\nkept=${{PRONY_ENGINE_CACHE:-.}}\nls "$kept" | wc -l >>{cache}\n'
            f'touch "$kept/compiled"\nexec {WORKER}\n'
        )
        (cold / "worker").chmod(0o755)
        model = Path(__file__).parent / f".cold-{os.getpid()}.gguf"  # /tmp may be a tmpfs
        self.addCleanup(model.unlink, missing_ok=True)
        shutil.copy(self.model, model)
        output = self.root / "cold.json"
        words = ["--model-path", model, "--framework", "caching", "--cold", "--blocks", "2"]
        result = self.bench(*words, "--output", output)
        self.assertIn("Pages cold, cache cold", result.stdout)
        points = json.loads(output.read_text())["points"]
        kinds = [(point["pages"], point["compile_cache"]) for point in points]
        matrix = [(p, c) for c in ("warm", "cold") for p in ("warm", "cold")]
        self.assertEqual(kinds, [(None, None), *matrix])
        for point in points[1:]:
            metrics = point["results"][0]["metrics"]
            self.assertEqual(metrics["start_to_first_token_s"]["blocks"], 2)
            self.assertNotIn("tpot_ms", metrics)
            if point["pages"] == "warm":
                self.assertGreater(point["pages_resident"], 0.99)
        if "not cold" not in result.stdout:
            self.assertLess(points[2]["pages_resident"], 0.01)
            self.assertLess(points[4]["pages_resident"], 0.01)
        # The run's own; one that fills the warm cache; two warm, two cold; and the second block's.
        seen = [int(line) for line in cache.read_text().split()]
        self.assertEqual(seen[1:6], [0, 1, 1, 0, 0])
        self.assertEqual(seen[7:], [1, 1, 0, 0])
        self.assertEqual(list((self.root / "cache" / "cold").iterdir()), [])

    def test_energy(self):
        """Counters that count 20 W whatever happens."""
        output = self.root / "energy.json"
        words = ["--model-path", self.model, "--framework", "slow", "--blocks", "2"]
        self.environment["PRONY_SYSFS"] = str(self.root / "sys")
        with power(self.root / "sys", 20):
            result = self.bench(*words, "--iterations", "150", "--output", output)
        run = json.loads(output.read_text())
        self.assertEqual(run["manifest"]["energy"], "RAPL (package-0)")
        self.assertIn("Energy per Token (J)", result.stdout)
        self.assertEqual(run["results"][0]["metrics"]["idle_power_w"]["blocks"], 2)
        self.assertIsNotNone(run["results"][0]["metrics"]["energy_j_per_token"]["value"])
        readings = run["results"][0]["samples"][0]["readings"]
        self.assertLess(abs(readings["energy_j"] / readings["energy_s"] - 20), 10)
        self.environment["PRONY_SYSFS"] = str(self.root / "nothing")
        result = self.bench(*words, "--wide", "--output", output)
        run = json.loads(output.read_text())
        self.assertIn("not available: this machine shows no energy", run["manifest"]["energy"])
        metric = run["results"][0]["metrics"]["energy_j_per_token"]
        self.assertIsNone(metric["value"])
        self.assertIn("no energy counters can be read", metric["why"])

    def test_memory_nodes(self):
        """Of a machine with two, this run's processors lie on one, and then on both."""
        output, nodes = self.root / "nodes.json", self.root / "sys/devices/system/node"
        words = ["--model-path", self.model, "--framework", "slow", "--quick", "--output", output]
        self.environment["PRONY_SYSFS"] = str(self.root / "sys")
        mine = min(os.sched_getaffinity(0))
        for processors, used in ("", 1), (str(mine), 2):
            for name, listed in ("node0", "0-1023"), ("node1", processors):
                (nodes / name).mkdir(parents=True, exist_ok=True)
                (nodes / name / "cpulist").write_text(listed + "\n")
            shown = " ".join(self.bench(*words).stdout.split())
            cpu = json.loads(output.read_text())["manifest"]["machine"]["cpu"]
            self.assertEqual((cpu["memory_nodes"], cpu["memory_nodes_used"]), (2, used))
            self.assertEqual("belong to 2 memory nodes" in shown, used == 2)

    def test_control(self):
        """The yardstick twice: a column, a note, and in no verdict."""
        options = ["--model-path", self.model, "--framework", "missing", "quick", "slow"]
        output = self.root / "control.json"
        options += ["--control", "--iterations", "8", "--blocks", "2"]
        plan = self.bench(*options, "--dry-run")
        self.assertRegex(plan.stdout, r"\n  quick-control +float32 ")
        result = self.bench(*options, "--output", output)
        for part in ("Quick (control)", "A/A control: quick ran twice in each block"):
            self.assertIn(part, " ".join(result.stdout.split()))
        stored = json.loads(output.read_text())
        names = [row["framework"] for row in stored["results"]]
        self.assertEqual(names, ["missing", "quick", "slow", "quick-control"])
        pairs = {(pair["a"], pair["b"]) for pair in stored["comparisons"]}
        self.assertEqual(pairs, {("quick", "slow")})


if __name__ == "__main__":
    unittest.main()
