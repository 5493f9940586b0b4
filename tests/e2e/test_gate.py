"""prony gate as CI runs it: engines of known speed, and the status that each pair ends with."""

import json
import os
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

PRONY = os.environ["PRONY"]


class Gate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.folder / "tiny.gguf"
        cls.prony("model", "make", "--size", "tiny", "--output", cls.model)
        home = cls.folder / "engines/gone"
        home.mkdir(parents=True)
        variant = {
            "name": "gone",
            "title": "Gone",
            "precision": "float32",
            "about": "For a test.",
            "supports": {"formats": ["gguf"], "devices": ["cpu"]},
        }
        manifest = {
            "name": "gone",
            "title": "Gone",
            "licence": "MIT",
            "about": "For a test.",
            "command": ["./worker"],
            "variants": [variant],
        }
        (home / "engine.json").write_text(json.dumps(manifest))
        for blocks, iterations in ((6, 8), (1, 8), (1, 9), (6, 8)):
            cls.prony(
                *("bench", "--model-path", cls.model, "--iterations", iterations),
                *("--framework", "null", "null-instant", "gone", "--blocks", blocks),
            )

    @classmethod
    def prony(cls, *arguments, status=0, store=None):
        result = subprocess.run(
            [PRONY, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ
            | {
                "PRONY_STORE": str(store or cls.folder / "results.db"),
                "PRONY_ENGINE_PATH": str(cls.folder / "engines"),
            },
        )
        if result.returncode != status:
            raise AssertionError(f"status {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def test_a_faster_candidate_passes(self):
        result = self.prony("gate", "null", "null-instant", "--run", "1")
        self.assertTrue(result.stdout.startswith("Pass. "), result.stdout)

    def test_a_slower_candidate_is_a_regression(self):
        xml, markdown = self.folder / "gate.xml", self.folder / "gate.md"
        result = self.prony(
            *("gate", "null-instant", "null", "--run", "1", "--worse-than", "3%"),
            *("--junit", xml, "--markdown", markdown),
            status=3,
        )
        self.assertTrue(result.stdout.startswith("Regression. "), result.stdout)
        suite = ElementTree.parse(xml).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("1", "1"))
        self.assertIn("the limit is 0.971", suite.find("testcase/failure").text)
        self.assertTrue(markdown.read_text().startswith("**Regression.** "))

    def test_too_few_blocks_are_undecided(self):
        result = self.prony("gate", "null", "null-instant", "--run", "2", status=4)
        self.assertIn("About 5 more blocks would decide.", result.stdout)

    def test_a_candidate_that_never_ran_is_invalid(self):
        xml = self.folder / "invalid.xml"
        result = self.prony("gate", "null", "gone", "--run", "1", "--junit", xml, status=5)
        self.assertIn("no block measured both", result.stdout)
        self.assertEqual(ElementTree.parse(xml).getroot().get("errors"), "1")

    def test_nothing_to_compare_is_wrong_usage(self):
        for words, part in (
            (["null", "nobody"], "no variant 'nobody'"),
            (["null", "null"], "both the baseline and the candidate"),
            (["null", "null-instant", "--worse-than", "much"], "takes a percentage"),
            (["null", "null-instant", "--worse-than", "-1"], "--worse-than"),
            (["null", "null-instant", "--run", "9"], "9"),
            (["null", "null-instant", "--junit", "/nowhere/gate.xml"], "/nowhere"),
            (["1:null", "9:null"], "9"),
            (["1", "1"], "both the baseline and the candidate"),
            (["1", "3"], "different work: the tokens counted: 8 in one run, 9 in the other"),
        ):
            self.assertIn(part, self.prony("gate", *words, status=1).stderr)

    def test_runs_are_gated_variant_by_variant(self):
        xml, markdown = self.folder / "runs.xml", self.folder / "runs.md"
        result = self.prony(
            *("gate", "1", "4", "--metric", "peak-memory", "--worse-than", "50%"),
            *("--junit", xml, "--markdown", markdown),
            status=5,
        )
        lines = result.stdout.splitlines()
        self.assertEqual(
            [line.split(".")[0] for line in lines], ["Pass", "Pass", "Pass", "Invalid"]
        )
        self.assertIn("6 blocks of each run", lines[0])
        suite = ElementTree.parse(xml).getroot()
        counts = [suite.get(name) for name in ("tests", "failures", "errors")]
        self.assertEqual(counts, ["4", "0", "1"])
        names = [case.get("name") for case in suite.iter("testcase")]
        self.assertEqual(names[0], "4:null against 1:null")
        self.assertEqual(len(markdown.read_text().splitlines()), 4)

    def test_a_variant_of_another_run_can_be_the_baseline(self):
        self.prony("gate", "1:null", "4:null-instant")
        result = self.prony("gate", "1:null-instant", "4:null", status=3)
        self.assertIn("Regression. ", result.stdout)
        result = self.prony("gate", "1:null", "2:null", status=4)
        self.assertIn("About 5 more blocks of each would decide.", result.stdout)

    def test_compare_shows_figures_and_verdicts(self):
        within = self.prony("compare", "null", "null-instant", "--run", "1").stdout
        self.assertIn("Measured in the same blocks", within)
        self.assertRegex(within, r"Running +null: [0-9]+x slower than\s+null-instant")
        between = self.prony("compare", "1", "4").stdout
        self.assertIn("nothing cancels out that changed between them", between)
        self.assertEqual(between.count("Metric "), 4)
        self.assertNotIn("No verdict", between)
        self.assertIn("that takes 6 blocks of each run", self.prony("compare", "1", "2").stdout)
        self.prony("compare", "1:gone", "4:gone", status=5)
        for words in (["1", "3"], ["1", "1"], ["7", "1"], ["null@1", "null@2"]):
            self.prony("compare", *words, status=1)
        for line in (within + between).splitlines():
            self.assertLessEqual(len(line), 80)

    def test_what_a_verdict_does_not_show_is_said(self):
        said = "Nothing shows that null computes the same thing, since it was not gated:"
        self.assertIn(said, self.prony("gate", "null", "null-instant", "--run", "1").stdout)
        shown = " ".join(self.prony("compare", "null", "null-instant", "--run", "1").stdout.split())
        self.assertEqual(shown.count(said), 1)
        # Runs of other plans, in a store of their own since their numbers count.
        cls = type(self)
        store, bench = self.folder / "plans.db", ("--iterations", 8, "--quick", "--framework")
        run = ("bench", "--model-path", self.model, *bench, "null", "null-instant")
        for words in ((), ("--no-fair-comparison",), ("--cold", "--no-redo")):
            cls.prony(*run, *words, store=store)
        unfair = ("1:null", "2:null", "--store", store)
        for command in ("compare", "gate"):
            error = self.prony(command, *unfair, status=1).stderr
            self.assertIn("whether it was a fair comparison: true in one run, false", error)
        other = ("1:null", "3:null", "--store", store)
        notes = self.prony("gate", *other, status=4).stderr
        self.assertIn("Note: this changed as well: what each block held (sweeps, --cold)", notes)
        self.assertIn("This changed as well: what each block", self.prony("compare", *other).stdout)
        within = ("null", "null-instant", "--run", "2", "--store", store)
        self.assertIn("This is no fair comparison", self.prony("gate", *within, status=4).stdout)

    def test_two_machines_give_no_verdict(self):
        exported = self.folder / "run.json"
        self.prony("results", "export", "4", "--output", exported)
        document = json.loads(exported.read_text())
        document["runs"][0]["manifest"]["machine"]["cpu"]["model"] = "Another"
        document["runs"][0]["uid"] = "0" * 32
        exported.write_text(json.dumps(document))
        self.prony("results", "import", exported)
        number = 5
        result = self.prony("compare", "1:null", f"{number}:null-instant").stdout
        self.assertIn("Two machines, and so no verdict on engines: the processor", result)
        self.assertNotIn("slower", result)
        error = self.prony("gate", "1:null", f"{number}:null", status=1).stderr
        self.assertIn("made on two machines: the processor", error)


if __name__ == "__main__":
    unittest.main()
