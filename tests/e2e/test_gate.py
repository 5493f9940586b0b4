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
        for blocks in (6, 1):
            cls.prony(
                *("bench", "--model-path", cls.model, "--iterations", "8"),
                *("--framework", "null", "null-instant", "gone", "--blocks", blocks),
            )

    @classmethod
    def prony(cls, *arguments, status=0):
        result = subprocess.run(
            [PRONY, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ
            | {
                "PRONY_STORE": str(cls.folder / "results.db"),
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
        result = self.prony("gate", "null", "null-instant", status=4)
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
        ):
            self.assertIn(part, self.prony("gate", *words, status=1).stderr)


if __name__ == "__main__":
    unittest.main()
