"""prony results as a user runs it: list, show, export, import and rm."""

import json
import os
import pty
import sqlite3
import subprocess
import tempfile
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])


class Results(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.folder / "tiny.gguf"
        cls.store = cls.folder / "results.db"
        cls.prony("model", "make", "--size", "tiny", "--output", cls.model, check=True)
        cls.bench(cls.store)
        cls.bench(cls.store)
        cls.file = cls.folder / "runs.json"
        cls.prony("results", "export", 1, 2, "--output", cls.file, check=True)

    @classmethod
    def bench(cls, store):
        cls.prony(
            *("bench", "--framework", "null-instant", "null-noisy", "--model-path", cls.model),
            *("--iterations", "4", "--blocks", "1"),
            store=store,
            check=True,
        )

    @classmethod
    def prony(cls, *arguments, store=None, check=False):
        return subprocess.run(
            [PRONY, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=check,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PRONY_STORE": str(store or cls.store), "COLUMNS": "80"},
        )

    def assert_error(self, result, *parts):
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertTrue(result.stderr.startswith("Error: "), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def new_store(self, name):
        store = self.folder / name
        self.prony("results", "import", self.file, store=store, check=True)
        return store

    def list(self, store=None):
        return json.loads(self.prony("results", "list", "--json", store=store, check=True).stdout)

    def test_list(self):
        lines = self.prony("results", "list", check=True).stdout.splitlines()
        self.assertEqual(
            lines[0].split(), ["Run", "When", "(UTC)", "Model", "Variants", "Blocks", "State"]
        )
        self.assertRegex(lines[1], r"^ +1  \d{4}-\d\d-\d\d \d\d:\d\d  tiny.gguf +2 +1  complete$")
        self.assertLessEqual(max(map(len, lines)), 80)
        runs = self.list()
        self.assertEqual([run["run"] for run in runs], [1, 2])
        self.assertEqual((runs[0]["processes"], runs[0]["failures"]), (2, 0))
        self.assertFalse(runs[0]["imported"])

    def test_show(self):
        text = self.prony("results", "show", 1, check=True).stdout
        for part in ("Run 1, complete", "Plan", "iterations       4", "Manifest", "Variants"):
            self.assertIn(part, text)
        self.assertRegex(text, r"block 1, null-noisy: \d+ tokens")
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        shown = json.loads(self.prony("results", "show", 2, "--json", check=True).stdout)
        self.assertEqual(shown, json.loads(self.file.read_text())["runs"][1])
        self.assertIn("Run 2,", self.prony("results", "show", check=True).stdout)
        self.assert_error(self.prony("results", "show", 99), "99")

    def test_exchange_loses_nothing(self):
        store = self.folder / "elsewhere.db"
        self.bench(store)
        said = self.prony("results", "import", self.file, store=store, check=True).stdout
        self.assertEqual(said, "Run 1 of the file is run 2 here\nRun 2 of the file is run 3 here\n")
        again = self.folder / "again.json"
        self.prony("results", "export", 2, 3, "-o", again, store=store, check=True)
        same = again.read_text().replace('{"run":2,', '{"run":1,').replace('{"run":3,', '{"run":2,')
        self.assertEqual(same, self.file.read_text())
        ours, theirs = (
            self.prony("report", number, "--wide", store=where, check=True).stdout
            for number, where in ((1, self.store), (2, store))
        )
        self.assertEqual(ours.replace("Run 1:", "Run 2:"), theirs)
        self.assertIn("complete*", self.prony("results", "list", store=store).stdout)

    def test_twice_is_found(self):
        store = self.new_store("twice.db")
        self.assert_error(
            self.prony("results", "import", self.file, store=store), "here already", "run 1"
        )
        self.assertEqual(len(self.list(store)), 2)

    def test_all_or_none(self):
        store = self.folder / "part.db"
        self.bench(store)
        document = json.loads(self.file.read_text())
        document["runs"].append(document["runs"][0])
        file = self.folder / "part.json"
        file.write_text(json.dumps(document))
        self.assert_error(self.prony("results", "import", file, store=store), "here already")
        self.assertEqual(len(self.list(store)), 1)

    def test_hostile_documents(self):
        store = self.folder / "hostile.db"
        file = self.folder / "hostile.json"
        good = json.loads(self.file.read_text())

        def damaged(change):
            document = json.loads(json.dumps(good))
            change(document["runs"][0])
            return json.dumps(document)

        texts = {
            "": "not valid JSON",
            "[]": "not an object",
            "{}": "no export",
            damaged(lambda run: run.update(uid="../..")): "uid",
            damaged(lambda run: run["plan"].update(blocks="many")): "blocks",
            damaged(lambda run: run["processes"][0].update(variant=9)): "variant",
            damaged(lambda run: run["processes"][1]["stamps_ns"].reverse()): "process 2",
        }
        for text, named in texts.items():
            with self.subTest(named):
                file.write_text(text)
                self.assert_error(self.prony("results", "import", file, store=store), named)
        self.assertFalse(store.exists())
        file.write_text(
            damaged(lambda run: run["variants"][0].update(name="\033]0;x\007", about="\u202e"))
        )
        self.prony("results", "import", file, store=store, check=True)
        for command in (("results", "show", 1), ("results", "list"), ("report", 1)):
            text = self.prony(*command, store=store, check=True).stdout
            self.assertNotRegex(text, "[\033\007\u202e]")

    def test_an_imported_run_is_not_gone_on_with(self):
        document = json.loads(self.file.read_text())
        document["runs"][0]["state"] = "interrupted"
        file, store = self.folder / "unfinished.json", self.folder / "unfinished.db"
        file.write_text(json.dumps(document))
        self.prony("results", "import", file, store=store, check=True)
        self.assert_error(self.prony("bench", "--resume", store=store), "no unfinished run")

    def test_stores_of_version_1_are_read(self):
        store = self.folder / "version1.db"
        database = sqlite3.connect(store)
        database.executescript((SOURCE / "tests" / "support" / "store_version_1.sql").read_text())
        database.close()
        file, there = self.folder / "version1.json", self.folder / "version1-there.db"
        self.prony("results", "export", 3, 5, "-o", file, store=store, check=True)
        self.prony("results", "import", file, store=there, check=True)
        self.assertEqual(
            [run["uid"] for run in self.list(store)], [run["uid"] for run in self.list(there)]
        )

    def test_export_needs_runs_that_are_there(self):
        file = self.folder / "none.json"
        self.assert_error(self.prony("results", "export", 1, 99, "-o", file), "99")
        self.assert_error(self.prony("results", "export", "one", "-o", file), "one")
        self.assertFalse(file.exists())
        nowhere = self.folder / "nowhere" / "runs.json"
        self.assert_error(self.prony("results", "export", 1, "-o", nowhere), str(nowhere))

    def test_rm(self):
        store = self.new_store("rm.db")
        self.assert_error(self.prony("results", "rm", 1, store=store), "--yes")
        self.assert_error(self.prony("results", "rm", 1, 9, "--yes", store=store), "9")
        self.assertEqual(len(self.list(store)), 2)
        self.prony("results", "rm", 2, "--yes", store=store, check=True)
        self.assertEqual([run["run"] for run in self.list(store)], [1])
        self.prony("results", "rm", 1, "--yes", store=store, check=True)
        self.assertEqual(
            self.prony("results", "list", store=store).stdout, "No run is stored yet.\n"
        )
        missing = self.folder / "typo.db"
        self.assert_error(self.prony("results", "rm", 1, "--yes", store=missing), "typo.db")
        self.assertFalse(missing.exists())

    def test_rm_asks_on_a_terminal(self):
        store = self.new_store("ask.db")
        for answer, left in (b"n\n", 2), (b"y\n", 1):
            ours, theirs = pty.openpty()
            with subprocess.Popen(
                [PRONY, "results", "rm", "2"],
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PRONY_STORE": str(store)},
            ) as process:
                os.write(ours, answer)
                process.wait()
            os.close(theirs)
            os.close(ours)
            self.assertEqual(process.returncode, left - 1)
            self.assertEqual(len(self.list(store)), left)


if __name__ == "__main__":
    unittest.main()
