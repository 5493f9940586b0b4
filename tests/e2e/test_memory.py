"""The memory that a model needs: what is told before, what is measured, and what is refused."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from engine_folder import WORKER, engine_write

PRONY = os.environ["PRONY"]
SHAPE = [
    "--layers",
    "8",
    "--hidden",
    "1024",
    "--heads",
    "16",
    "--kv-heads",
    "8",
    "--ffn",
    "4096",
    "--vocabulary",
    "4096",
]


def engine_declare(folder, name, memory):
    """An engine that computes nothing, and says that it keeps this."""
    command = ["sh", "-c", f"echo started >>{folder}/{name}.started; exec {WORKER}"]
    pace = {"token_us": 1000, "prefill_us": 0, "vocabulary": 512}
    home = engine_write(folder, name, command, pace)
    manifest = json.loads((home / "engine.json").read_text())
    manifest["variants"][0]["supports"]["sampling"] = True
    manifest["variants"][0]["memory"] = memory
    (home / "engine.json").write_text(json.dumps(manifest))


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = Path(folder.name)
        cls.model = cls.made("tiny.gguf")
        kept = {"weights": "float32", "cache": "float32"}
        engine_declare(cls.root / "engines", "small", {**kept, "base_mb": 1})
        engine_declare(cls.root / "engines", "huge", {**kept, "base_mb": 1 << 20})  # 1 TB
        cls.environment = {
            **os.environ,
            "PRONY_ENGINE_PATH": str(cls.root / "engines"),
            "PRONY_CACHE": str(cls.root / "cache"),
            "PRONY_STORE": str(cls.root / "results.db"),
        }

    @classmethod
    def made(cls, name, *options):
        path = cls.root / name
        command = [PRONY, "model", "make", "--output", path, *options]
        subprocess.run(command, check=True, capture_output=True)
        return path

    def setUp(self):
        for file in (self.root / "engines").glob("*.started"):
            file.unlink()

    def prony(self, *arguments, status=0):
        command = [PRONY, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def started(self, name):
        return (self.root / f"engines/{name}.started").exists()

    def bench(self, *arguments, status=0):
        basics = ("--model-path", self.model, "--quick", "--no-redo", "--iterations", 2)
        return self.prony("bench", *basics, "--framework", *arguments, status=status)

    def refused(self, done, name):
        self.assertRegex(done.stderr, rf"Error: {name} needs at least \d+\.\d\d GB of memory and ")
        self.assertRegex(done.stderr, r"GB are free \(weights 0\.00, KV cache of \d+ positions")
        self.assertFalse(self.started(name))

    def test_what_cannot_fit_is_not_started(self):
        self.refused(self.bench("huge", status=1), "huge")
        self.refused(self.prony("engines", "run", "huge", "--model", self.model, status=1), "huge")
        talk = ("--model", self.model, "--framework", "huge", "--prompt", "Hello")
        self.refused(self.prony(*talk, status=1), "huge")

    def test_others_run_and_the_table_says_why(self):
        file = self.root / "run.json"
        self.bench("huge", "small", "--output", file)
        results = {r["framework"]: r for r in json.loads(file.read_text())["results"]}
        self.assertIn("huge needs at least", results["huge"]["failure"])
        self.assertGreater(results["small"]["avg_token_time"], 0)
        self.assertTrue(self.started("small"))
        self.assertFalse(self.started("huge"))

    def test_the_check_can_be_left_out(self):
        self.bench("huge", "--no-memory-check")
        self.assertTrue(self.started("huge"))
        run = ("engines", "run", "huge", "--model", self.model)
        self.assertIn("memory, at the end", self.prony(*run, "--no-memory-check").stdout)
        talk = ("--model", self.model, "--framework", "huge", "--prompt", "Hello")
        self.prony(*talk, "--max-tokens", 2, "--no-memory-check")

    def test_a_resumed_run_leaves_out_what_it_left_out(self):
        command = [PRONY, "bench", "--model-path", self.model, "--framework", "huge", "small"]
        more = ["--no-redo", "--blocks", "4", "--iterations", "150"]
        store = {**self.environment, "PRONY_STORE": str(self.root / "resumed.db")}
        run = subprocess.Popen([*command, *more], env=store, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not self.started("small") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, told)
        (self.root / "engines/small.started").unlink()
        resumed = [PRONY, "bench", "--resume"]
        done = subprocess.run(resumed, env=store, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.started("small"))
        self.assertFalse(self.started("huge"))

    def planned(self, model, context, variant):
        """GB, as prony model plan tells."""
        table = self.prony("model", "plan", model, "--context", context, "--shard", 1).stdout
        return float(re.search(rf"^{variant} +1 .* ([0-9.]+)$", table, re.M).group(1))

    def measured(self, model, context, variant):
        run = ("engines", "run", variant, "--model", model, "--context", context)
        told = self.prony(*run).stdout
        return float(re.search(r"memory, at the end .* peak ([0-9.]+) ", told).group(1))

    def test_the_peak_is_what_the_plan_says(self):
        """Beside a tiny model's: what the process itself takes depends on how it was built."""
        model = self.made("wide.gguf", *SHAPE, "--context", "65536")
        for variant in "native-f16", "native-f32":  # as stored, and converted on load
            for context in 1024, 32768:
                planned = self.planned(model, context, variant) - self.planned(
                    self.model, 256, variant
                )
                measured = self.measured(model, context, variant) - self.measured(
                    self.model, 256, variant
                )
                self.assertLess(abs(measured / planned - 1), 0.05, f"{variant} {context}")

    def test_shapes_are_planned_without_a_model(self):
        table = self.prony("model", "plan", "--context", 8192, "--shard", 1, 2).stdout
        self.assertRegex(table, r"llama3-405b, 405\.85 G parameters")
        self.assertRegex(table, r"(?m)^native-f16 +1 +16\.06 +17\.1\d$")
        self.assertRegex(table, r"(?m)^native-f16 +2 +70\.5\d +71\.9\d$")
        self.assertRegex(table, r"(?m)^native-f16 int8 +2 +35\.30 +36\.6\d$")
        self.assertIn("Free here: ", table)
        table = self.prony("model", "plan", "llama3-8b", "--context", 8192, 16384).stdout
        self.assertRegex(table, r"(?m)^native-f32 +1 +32\.12 +34\.\d\d +-$")
        shards = ("--shard", 2, 16, "--context", 8192)
        table = self.prony("model", "plan", "llama3-70b", *shards).stdout
        self.assertRegex(table, r"(?m)^native-f16 nf4 +2 +21\.36 +22\.7\d$")
        self.assertRegex(table, r"(?m)^native-f16 nf4 +16 does not divide the model$")
        alone = ("--framework", "onnxruntime", "--device", "cuda")
        table = self.prony("model", "plan", "llama3-70b", *shards, *alone).stdout
        self.assertRegex(table, r"(?m)^onnxruntime +2 cannot be had on cuda$")
        wrong = self.prony("model", "plan", "llama3-9b", status=1).stderr
        self.assertIn("llama3-405b", wrong)


if __name__ == "__main__":
    unittest.main()
