"""--quantize and --shard as dimensions of the plan, with engines that only claim to do it."""

import csv
import json
import sqlite3
import sys
import unittest

from bench_case import BenchCase
from engine_folder import WORKER, engine_write

FORMS = {"quantize": ["int8", "nf4"], "quantize_sharded": True, "shard": ["cpu"]}

LIAR = """
from prony_worker import Engine, serve

class Liar(Engine):
    name = version = "liar"

    def load(self, request):
        return {"vocabulary": 512, "weight_bytes": 1, "kv_token_bytes": 0, "precision": "float32"}

serve(Liar())
"""

KEEPER = """
from prony_worker import Engine, serve

class Keeper(Engine):
    name = version = "eights"

    def load(self, request):
        if request.quantize:
            assert request.quantize == "q8_0", request.quantize
            with open(request.keep_at, "a") as file:
                print(request.variant, file=file)
        return {"vocabulary": 512, "weight_bytes": 34 if request.quantize else 64,
                "kv_token_bytes": 0, "precision": request.quantize or "float32"}

    def generate(self, prompt, sampling):
        yield from range(sampling.tokens)

serve(Keeper())
"""


class BenchForms(BenchCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pace = {"token_us": 800, "prefill_us": 1, "memory_mb": 8}
        home = engine_write(cls.root / "engines", "able", [str(WORKER)], pace)
        manifest = json.loads((home / "engine.json").read_text())
        manifest["variants"].append({**manifest["variants"][0], "name": "able-not", "title": "Not"})
        manifest["variants"][0]["supports"] = {**manifest["variants"][0]["supports"], **FORMS}
        manifest["hidden"] = False
        (home / "engine.json").write_text(json.dumps(manifest))
        home = engine_write(cls.root / "engines", "liar", [sys.executable, "worker.py"])
        manifest = json.loads((home / "engine.json").read_text())
        manifest["variants"][0]["supports"].update(FORMS)
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "worker.py").write_text(LIAR)
        home = engine_write(cls.root / "engines", "eights", [sys.executable, "worker.py"])
        manifest = json.loads((home / "engine.json").read_text())
        manifest["variants"][0]["supports"]["quantize"] = ["q8_0"]
        manifest["hidden"] = False
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "worker.py").write_text(KEEPER)

    def run_forms(self, *words, status=0):
        out = self.store.with_suffix(".json")
        words = ("--model-path", self.model, "--quick", "--iterations", 3, *words)
        result = self.bench(*words, "--output", out, out.with_suffix(".csv"), status=status)
        return result, {row["framework"]: row for row in json.loads(out.read_text())["results"]}

    def test_a_variant_that_has_its_engines_name(self):
        """The name is the engine, and with +none this variant alone."""
        for framework, columns in (("able", ["able", "able-not"]), ("able+none", ["able"])):
            _, rows = self.run_forms("--framework", framework)
            self.assertEqual(list(rows), columns)

    def test_a_column_for_each_form(self):
        words = ("--framework", "able", "--quantize", "none", "int8", "nf4")
        result, rows = self.run_forms(*words)
        self.assertEqual(list(rows), ["able", "able-not", "able+int8", "able+nf4"])
        self.assertEqual(result.stderr.count("standard comparisons are unquantised"), 1)
        self.assertRegex(result.stdout, r"Able int8 +Able nf4")
        for title in ("Mean KL", "Top-1 Agreement"):
            self.assertIn(title, result.stdout)
        for name, word, share in (
            ("able", None, 1),
            ("able+int8", "int8", 4),
            ("able+nf4", "nf4", 8),
        ):
            row = rows[name]
            self.assertEqual((row["quantize"], row["shard"]), (word, 1))
            self.assertEqual(row["precision"], word or "float32")
            self.assertAlmostEqual(row["metrics"]["weights_gb"]["value"], 0.008 / share)
        with open(self.store.with_suffix(".csv"), newline="") as stream:
            table = {row["framework"]: row for row in csv.DictReader(stream)}
        self.assertEqual(table["able+nf4"]["quantize"], "nf4")
        self.assertEqual(table["able"]["quantize"], "")

    def test_shards(self):
        words = ("--framework", "able", "--quantize", "int8", "--shard", 1, "2")
        result, rows = self.run_forms(*words)
        self.assertEqual(list(rows), ["able+int8", "able+int8+shard2"])
        self.assertEqual(rows["able+int8+shard2"]["shard"], 2)
        self.assertIn("Able int8 x2", result.stdout)

    def test_no_warning_unasked(self):
        result, _ = self.run_forms("--framework", "able")
        self.assertNotIn("unquantised", result.stderr)
        self.assertNotIn("Mean KL", result.stdout)

    def test_who_cannot(self):
        result, rows = self.run_forms(
            "--framework", "able", "quick", "able-not", "--quantize", "int8"
        )
        self.assertEqual(list(rows), ["able+int8", "quick+int8", "able-not+int8"])
        for name in ("quick+int8", "able-not+int8"):
            reason = "it cannot quantise to int8 on cpu; these can: able"
            self.assertIn(f"Warning: {name} is left out: {reason}", result.stderr)
            self.assertTrue(rows[name]["unavailable"].startswith(reason))
            self.assertEqual(rows[name]["processes"], 0)
        self.assertEqual(rows["able+int8"]["processes"], 1)

    def test_nobody_can(self):
        words = ("--model-path", self.model, "--framework", "quick", "--shard", 2)
        result = self.bench(*words, status=1)
        self.assertIn("none of the chosen variants can run here", result.stderr)
        self.assertIn("it cannot be split over 2 devices on cpu; these can: able", result.stderr)

    def test_q8_0_in_the_place_of_int8(self):
        """Under its own name, from a file that is made before anything is timed, and kept."""
        self.environment["PRONY_CACHE"] = str(self.root / "kept")
        words = ("--framework", "able", "eights", "--quantize", "int8")
        for again in (False, True):
            result, rows = self.run_forms(*words, "--no-fair-comparison")
            self.assertEqual(list(rows), ["able+int8", "eights+q8_0"])
            row = rows["eights+q8_0"]
            self.assertEqual((row["quantize"], row["precision"]), ("q8_0", "q8_0"))
            self.assertIn("Note: eights+q8_0 holds its weights as Q8_0, blocks", result.stderr)
            self.assertEqual("quantised  eights+q8_0" in result.stderr, not again)
        (kept,) = (self.root / "kept").glob("compiled/eights/q8_0-*.gguf")
        self.assertEqual(kept.read_text(), "eights\n" * 3)  # to make it, and to time it twice

    def test_q8_0_by_name(self):
        _, rows = self.run_forms("--framework", "eights+int8", "eights+q8_0", "able+q8_0")
        self.assertEqual(list(rows), ["eights+q8_0", "able+q8_0"])
        reason = "it cannot quantise to q8_0 on cpu; these can: eights"
        self.assertTrue(rows["able+q8_0"]["unavailable"].startswith(reason), rows["able+q8_0"])
        _, rows = self.run_forms("--framework", "able", "eights", "--quantize", "int8", "q8_0")
        self.assertEqual(list(rows), ["able+int8", "able+q8_0", "eights+q8_0"])

    def test_by_name(self):
        _, rows = self.run_forms("--framework", "able+int8", "able")
        self.assertEqual(list(rows), ["able+int8", "able", "able-not"])
        words = ("--model-path", self.model, "--framework", "able+int8", "--quantize", "nf4")
        result = self.bench(*words, status=1)
        self.assertIn("--framework able+int8 says itself how", result.stderr)

    def test_wrong_words(self):
        for words, told in (
            (("--quantize", "int4"), "'int4'"),
            (("--shard", 0), "--shard"),
            (("--framework", "able+int4"), "able+int4"),
            (("--framework", "able", "--quantize", "nf4", "--shard", 2), "cut nf4's blocks"),
        ):
            result = self.bench("--model-path", self.model, *words, status=1)
            self.assertIn(told, result.stderr)

    def test_a_worker_that_takes_no_notice(self):
        _, rows = self.run_forms("--framework", "liar", "--quantize", "int8", status=5)
        self.assertIn(
            "asked to quantise to int8, and says it holds float32", rows["liar+int8"]["failure"]
        )

    def test_resume(self):
        words = ("--framework", "able", "--quantize", "none", "int8", "--shard", 1, 2)
        _, before = self.run_forms(*words)
        connection = sqlite3.connect(self.store)
        connection.execute("DELETE FROM process WHERE variant = 3")
        connection.execute("UPDATE run SET state = 'interrupted'")
        connection.commit()
        connection.close()
        self.bench("--resume")
        counts = self.rows("SELECT variant, count(*) FROM process GROUP BY variant")
        self.assertEqual([count for _, count in counts], [1] * len(before))

    def test_dry_run(self):
        words = (
            "--model-path",
            self.model,
            "--framework",
            "able",
            "--quantize",
            "int8",
            "--dry-run",
        )
        result = self.bench(*words)
        self.assertRegex(result.stdout, r"able\+int8 +int8")


if __name__ == "__main__":
    unittest.main()
