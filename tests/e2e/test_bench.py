"""prony bench as a user runs it: whole runs, failing engines, wrong usage."""

import json
import re
import shutil
import subprocess
import unittest

from bench_case import BenchCase
from engine_folder import WORKER, engine_write
from terminal import sent_to_terminal


class Bench(BenchCase):
    def test_complete_run(self):
        output = self.root / "run.json"
        result = self.bench(
            "--model-path", self.model, "--framework", "quick", "slow", "--output", output
        )
        self.assertIn("Steady-State Latency (ms)", result.stdout)
        document = json.loads(output.read_text())
        self.assertEqual(document["plan"]["blocks"], 6)
        self.assertEqual(document["manifest"]["model"]["vocabulary"], 512)
        self.assertRegex(document["manifest"]["model"]["sha256"], "^[0-9a-f]{64}$")
        self.assertIn("cpu", document["manifest"]["machine"])
        self.assertEqual(self.rows("SELECT state FROM run"), [("complete",)])
        self.assertEqual(self.rows("SELECT count(*), count(failure) FROM process"), [(12, 0)])
        self.assertEqual(
            self.rows("SELECT DISTINCT n FROM (SELECT count(*) AS n FROM token GROUP BY process)"),
            [(29,)],
        )
        # Each variant goes first equally often.
        self.assertEqual(
            self.rows("SELECT variant, count(*) FROM process WHERE position = 0 GROUP BY variant"),
            [(0, 3), (1, 3)],
        )
        # Stamps in the order of a process's life.
        self.assertEqual(
            self.rows(
                "SELECT count(*) FROM process WHERE NOT (spawned_ns < hello_ns AND"
                " hello_ns <= load_asked_ns AND load_asked_ns < load_ready_ns AND"
                " load_ready_ns <= cold_asked_ns AND cold_asked_ns <= cold_prompt_ns AND"
                " cold_prompt_ns < cold_first_ns AND cold_first_ns < prompt_ns)"
            ),
            [(0,)],
        )
        self.assertEqual(
            self.rows(
                "SELECT count(*) FROM process WHERE memory_before <= 0 OR"
                " memory_peak < memory_loaded OR bandwidth <= 0"
            ),
            [(0,)],
        )
        self.expect_no_workers()

    def test_native_repeats_itself(self):
        self.bench(
            "--model-path",
            self.model,
            "--framework",
            "native-f32",
            "--blocks",
            "2",
            "--iterations",
            "5",
            "--prompt-tokens",
            "9",
        )
        streams = self.rows(
            "SELECT group_concat(id) FROM (SELECT * FROM token ORDER BY process,"
            " step) GROUP BY process"
        )
        self.assertEqual(len(streams), 2)
        self.assertEqual(streams[0], streams[1])
        self.assertEqual(len(streams[0][0].split(",")), 1 + 8 + 5)

    def test_quick_claims_nothing(self):
        result = self.bench("--model-path", self.model, "--framework", "quick", "slow", "--quick")
        self.assertIn("No verdict", result.stdout)
        self.assertEqual(self.rows("SELECT count(*) FROM process"), [(2,)])

    def test_progress_on_a_terminal(self):
        """One line, repainted and never wrapped: block, engine, phase, time gone and left."""
        words = ["--model-path", self.model, "--framework", "quick", "slow", "--blocks", "2"]
        status, sent = sent_to_terminal(
            self.arguments(*words),
            "stderr",
            columns=60,
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )
        self.assertEqual(status, 0)
        lines = sent.split("\r\033[K")
        painted = [line for line in lines if line.startswith("[")]
        for phase in "start", "load", "first token", "warm-up", "timed tokens":
            begin = re.escape(f"[1/2] quick: {phase} (elapsed 0:")
            self.assertTrue(any(re.match(begin, line) for line in painted), phase)
        self.assertTrue(any(re.search(r"\[2/2\] slow: .*, about \d:\d\d left", x) for x in painted))
        self.assertLess(max(map(len, painted)), 60)
        self.assertRegex(sent, r"block 2/2  slow .* so far .*–.*\)")
        self.assertTrue(lines[-1] == "" or lines[-1].count("\n"))

    def test_failing_engine_is_a_row(self):
        result = self.bench(
            "--model-path",
            self.model,
            "--framework",
            "broken",
            "quick",
            "missing",
            "elsewhere",
            "--blocks",
            "4",
        )
        self.assertIn("the library is gone", result.stdout)
        self.assertIn("does not run on device cpu", " ".join(result.stdout.split()))
        self.assertIn(
            "not installed. Run: prony engines install missing", " ".join(result.stdout.split())
        )
        # After two failures a variant is left out; the others go on.
        self.assertEqual(
            self.rows(
                "SELECT name, count(process.id), count(failure) FROM variant"
                " LEFT JOIN process ON variant = variant.position"
                " GROUP BY name ORDER BY name"
            ),
            [("broken", 2, 2), ("elsewhere", 0, 0), ("missing", 0, 0), ("quick", 4, 0)],
        )
        log = self.rows("SELECT failure, log_tail FROM process WHERE failure IS NOT NULL")[0]
        self.assertIn("the library is gone", log[0])
        self.expect_no_workers()

    def test_one_failure_costs_one_process(self):
        result = self.bench("--model-path", self.model, "--framework", "moody", "--blocks", "2")
        self.assertIn("moody failed in 1 of 2 processes", " ".join(result.stdout.split()))

    def test_nothing_measured(self):
        self.bench("--model-path", self.model, "--framework", "broken", "--quick", status=5)
        result = self.bench("--model-path", self.model, "--framework", "missing", status=1)
        self.assertIn("none of the chosen variants can run here", result.stderr)

    def test_dry_run(self):
        result = self.bench(
            "--model-path", self.model, "--framework", "quick", "slow", "missing", "--dry-run"
        )
        self.assertIn("not available", result.stdout)
        self.assertRegex(result.stdout, r"block 1\s+quick slow")
        self.assertRegex(result.stdout, r"block 6\s")
        self.assertFalse(self.store.exists())

    def test_type_mismatch(self):
        result = self.bench(
            "--framework",
            "native",
            "--model-type",
            "gpt",
            "--model-path",
            self.model.parent,
            status=1,
        )
        self.assertEqual(
            result.stderr, "Error: Model type mismatch: Expected 'gpt' but detected 'llama'\n"
        )
        self.assertEqual(result.stdout, "")
        self.assertFalse(self.store.exists())

    def test_bad_models(self):
        empty, cut = self.root / "bad" / "empty.gguf", self.root / "bad" / "cut.gguf"
        empty.parent.mkdir()
        empty.write_bytes(b"")
        cut.write_bytes(self.model.read_bytes()[:100000])
        for path in (empty, cut, self.root / "bad" / "nothing.gguf"):
            result = self.bench("--model-path", path, "--framework", "quick", status=1)
            self.assertIn(str(path), result.stderr)
            self.assertEqual(result.stdout, "")
        shutil.rmtree(empty.parent)

    def test_other_corners_of_pytorch(self):
        """Each of the two options gives up one of the two things that pytorch-opt turns on."""
        home = engine_write(self.root / "corners", "pytorch", [str(WORKER)])
        manifest = json.loads((home / "engine.json").read_text())
        names = ("base", "opt", "opt-no-compile", "opt-no-half")
        manifest["variants"] = [
            {**manifest["variants"][0], "name": f"pytorch-{name}", "default": i < 2}
            for i, name in enumerate(names)
        ]
        (home / "engine.json").write_text(json.dumps(manifest))
        self.environment["PRONY_ENGINE_PATH"] = str(home)
        for words, expected in (
            ([], ["base", "opt"]),
            (["--pytorch-no-compile"], ["base", "opt-no-compile"]),
            (["--pytorch-no-half"], ["base", "opt-no-half"]),
            (["--pytorch-no-half", "--pytorch-no-compile"], ["base"]),
        ):
            result = self.bench(
                "--dry-run", "--model-path", self.model, "--framework", "pytorch", *words
            )
            chosen = re.findall(r"^  pytorch-(\S+) ", result.stdout, re.M)
            self.assertEqual(chosen, expected, words)
        result = self.bench(
            "--pytorch-no-half", "--model-path", self.model, "--framework", "native", status=1
        )
        self.assertIn("change pytorch-opt, which is not compared", result.stderr)

    def test_no_fair_comparison(self):
        """Each engine has its own threads and context, and every report says so."""
        home = engine_write(self.root / "unfair", "roomy", ["./worker"])
        manifest = json.loads((home / "engine.json").read_text())
        manifest["variants"][0]["default_context"] = 200
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "worker").write_text(f"#!/bin/sh\nexec tee requests <&3 | {WORKER} 3<&0\n")
        (home / "worker").chmod(0o755)
        self.environment["PRONY_ENGINE_PATH"] = str(home)
        outputs = [self.root / f"unfair.{kind}" for kind in ("json", "csv", "md")]
        table = self.bench(
            *("--model-path", self.model, "--framework", "roomy", "native-f32", "--quick"),
            *("--no-fair-comparison", "--output", *outputs),
        ).stdout
        requests = [json.loads(line) for line in (home / "requests").read_text().splitlines()]
        load = next(request for request in requests if request["op"] == "load")
        self.assertEqual((load["threads"], load["context"]), (0, 200))
        self.assertIn("no fair comparison", table)
        self.assertIn("This is no fair comparison, as was asked for", " ".join(table.split()))
        document = json.loads(outputs[0].read_text())
        self.assertIs(document["plan"]["fair_comparison"], False)
        self.assertIn("This is no fair comparison", document["notes"][0])
        head, *rows = (line.split(",") for line in outputs[1].read_text().splitlines())
        self.assertEqual([row[head.index("fair_comparison")] for row in rows], ["no", "no"])
        self.assertIn("no fair comparison", outputs[2].read_text())

    def test_usage(self):
        for words, part in (
            (["--model-path", self.model, "--no-fair-comparison", "--threads", "1"], "--threads"),
            (["--model-path", self.model, "--framework", "quik"], "'quick'"),
            ([], "--model-path"),
            (["--model-path", self.model, "--context", "10"], "--context 93"),
            (["--model-path", self.model, "--prompt-tokens", "300"], "256"),
            (["--model-path", self.model, "--quick", "--blocks", "3"], "--quick"),
            (["--model-path", self.model, "--output", "x.pdf"], ".json"),
            (["--model-path", self.model, "--output", "/proc/x.json"], "/proc/x.json"),
        ):
            result = self.bench(*words, status=1)
            self.assertIn(part, result.stderr)
            self.assertEqual(len(re.findall("Error", result.stderr)), 1, result.stderr)


if __name__ == "__main__":
    unittest.main()
