"""prony report as a user runs it: a stored run again, to the terminal, a pipe and files."""

import csv
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from terminal import sent_to_terminal

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])
CONTRACT = [
    "framework",
    "model_size",
    "iterations",
    "total_time",
    "first_token_time",
    "avg_token_time",
    "min_token_time",
    "max_token_time",
    "avg_tokens_per_second",
    "peak_tokens_per_second",
    "peak_memory_gb",
    "model_memory_gb",
]


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.store = cls.folder / "results.db"
        model = cls.folder / "tiny.gguf"
        cls.prony("model", "make", "--size", "tiny", "--output", model, check=True)
        cls.bench = [
            cls.prony(
                "bench",
                "--framework",
                "null-instant",
                "null-noisy",
                "--model-path",
                model,
                "--iterations",
                "8",
                "--blocks",
                str(blocks),
                check=True,
            )
            for blocks in (2, 1)
        ]

    @classmethod
    def prony(cls, *arguments, check=False, **environment):
        variables = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")
        }
        variables |= {"PRONY_STORE": str(cls.store)} | environment
        return subprocess.run(
            [PRONY, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=check,
            env=variables,
        )

    def assert_error(self, result, *parts):
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertTrue(result.stderr.startswith("Error: "), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_prints_what_bench_printed(self):
        for number, bench in enumerate(self.bench, 1):
            report = self.prony("report", number, check=True)
            self.assertIn(report.stdout, bench.stdout)
            self.assertEqual(report.stderr, "")
            for part in ("Metric", "Null-Instant", "Steady-State Latency (ms)", "Analysis"):
                self.assertIn(part, report.stdout)

    def test_newest_run_when_none_is_named(self):
        self.assertEqual(self.prony("report").stdout, self.prony("report", 2).stdout)

    def test_claims_nothing_with_few_blocks(self):
        text = self.prony("report", 1, check=True).stdout
        self.assertIn("with 2 blocks this is no verdict", text)
        self.assertNotRegex(
            text, r"\dx\s+(faster|slower)"
        )  # a note may say that tokens became faster

    def test_says_why_a_figure_is_missing(self):
        text = self.prony("report", 1, check=True).stdout
        self.assertRegex(text, r"% of Limit +n/a +n/a\n")
        self.assertIn("n/a % of Limit: the engine does not tell the size of its weights", text)

    def test_every_metric_when_wide(self):
        text = self.prony("report", 1, "--wide", check=True).stdout
        self.assertIn("Median Latency (ms)", text)
        self.assertNotIn("Median Latency (ms)", self.prony("report", 1).stdout)
        self.assertIn("±", text)

    def test_lines_fit_the_width(self):
        for width in (60, 80, 132):
            text = self.prony("report", 1, COLUMNS=str(width), check=True).stdout
            self.assertLessEqual(max(map(len, text.splitlines())), width)

    def test_files(self):
        names = ["run.json", "run.csv", "run.samples.csv", "run.md"]
        files = [self.folder / name for name in names]
        self.prony("report", 1, "--output", *files, check=True)
        run = json.loads(files[0].read_text())
        self.assertEqual(
            [result["framework"] for result in run["results"]], ["null-instant", "null-noisy"]
        )
        self.assertEqual(list(run["results"][0])[: len(CONTRACT)], CONTRACT)
        self.assertEqual(run["results"][0]["iterations"], 8)
        with files[1].open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row, result in zip(rows, run["results"], strict=True):
            self.assertAlmostEqual(float(row["avg_token_time"]), result["avg_token_time"])
        with files[2].open(newline="") as file:
            counted = [row for row in csv.DictReader(file) if row["counted"] == "1"]
        self.assertEqual({row["fair_comparison"] for row in counted}, {"yes"})
        self.assertEqual({row["equivalence"] for row in counted}, {"not gated"})
        self.assertEqual(len(counted), 8 * 2 * 2)  # steps, variants, blocks
        head = "| Metric | Null-Instant | Null-Noisy |\n| :--- |"
        self.assertTrue(files[3].read_text().startswith(head))
        again = self.folder / "again.json"
        self.prony("report", 1, "--output", again, check=True)
        self.assertEqual(again.read_bytes(), files[0].read_bytes())

    def test_output_that_cannot_be_written(self):
        file = self.folder / "nowhere" / "run.json"
        self.assert_error(self.prony("report", "--output", file), str(file))

    def test_runs_that_are_not_there(self):
        self.assert_error(self.prony("report", 99), "99")
        for wrong in ("newest", "0", "1x", "99999999999999999999"):
            self.assert_error(self.prony("report", wrong), wrong, "number of a run")

    def test_store_that_is_not_there(self):
        store = self.folder / "typo.db"
        self.assert_error(
            self.prony("report", "--store", store), "no run is stored yet", str(store)
        )
        self.assertFalse(store.exists())

    def test_store_that_is_something_else(self):
        store = self.folder / "text.db"
        store.write_text("not a database, but longer than the header of one\n" * 100)
        self.assert_error(self.prony("report", "--store", store), str(store))

    def test_progress_tells_the_estimate_so_far(self):
        lines = self.bench[0].stderr.splitlines()
        first, *_, last = [line for line in lines if line.startswith("block ")]
        self.assertNotIn("so far", first)
        self.assertRegex(last, r"ms/token, so far \d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)")
        self.assertNotIn("\033", self.bench[0].stderr)

    def test_a_reader_that_leaves_needs_no_message(self):
        for command in (["report", "--wide"], ["results", "show", "1", "--json"]):
            reading, writing = os.pipe()
            os.close(reading)
            result = subprocess.run(
                [PRONY, *command],
                stdout=writing,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env=os.environ | {"PRONY_STORE": str(self.store)},
            )
            os.close(writing)
            self.assertEqual((result.returncode, result.stderr), (1, ""))
        with open("/dev/full", "w", encoding="ascii") as full:
            result = subprocess.run(
                [PRONY, "report"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                env=os.environ | {"PRONY_STORE": str(self.store)},
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn("No space left", result.stderr)

    def test_page_under_any_name(self):
        path = self.folder / "page"
        self.prony("report", "1", "--html", path, check=True)
        self.assertTrue(path.read_text().startswith("<!DOCTYPE html>"))
        self.assert_error(self.prony("report", "--html", "/nowhere/run.html"), "/nowhere")
        other = self.folder / "run.html"
        self.prony("report", "1", "--output", other, check=True)
        self.assertEqual(other.read_text(), path.read_text())

    def test_colour_on_a_terminal_only(self):
        self.assertNotIn("\033", self.prony("report", TERM="xterm").stdout)
        self.assertIn("\033[1;32m", self.on_terminal(TERM="xterm"))
        self.assertNotIn("\033", self.on_terminal(TERM="xterm", NO_COLOR="1"))
        self.assertNotIn("\033", self.on_terminal(TERM="dumb"))

    def on_terminal(self, **environment):
        """What a terminal is sent, and the same but for colours as a pipe is."""
        variables = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")
        }
        variables |= {"PRONY_STORE": str(self.store)} | environment
        status, sent = sent_to_terminal([PRONY, "report"], "stdout", env=variables)
        self.assertEqual(status, 0)
        text = sent.replace("\r\n", "\n")
        self.assertEqual(re.sub(r"\033\[[0-9;]*m", "", text), self.prony("report").stdout)
        return text


if __name__ == "__main__":
    unittest.main()
