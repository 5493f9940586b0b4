"""--profile's trace in Perfetto's own trace processor, held against the stamps of the tokens."""

import itertools
import re
import statistics
import subprocess
import tempfile
import unittest
from pathlib import Path

import oracles

PROMPT = 'select dur from slice where category = "step" and name = "prompt"'
TOKENS = 'select dur from slice where category = "step" and name = "token" order by ts'
# The operations inside each step of the main thread.
OPERATIONS = """
    select step.name, sum(operation.dur) from slice step
    join slice operation on operation.parent_id = step.id
    where step.category = "step" and operation.category = "operation"
    group by step.id order by step.ts"""
NAMES = 'select distinct name from slice where category = "operation"'
THREADS = """
    select thread.name, count(*) from slice
    join thread_track on slice.track_id = thread_track.id join thread using (utid)
    where slice.name = "attention" group by thread.name order by thread.name"""
OVERLAPS = """
    select count(*) from slice a join slice b on a.track_id = b.track_id and a.id < b.id
    where a.depth = b.depth and a.name = "down" and b.name = "down" and b.ts < a.ts + a.dur"""
ERRORS = 'select name, value from stats where severity = "error" and value > 0'
# The stamps are printed with two digits.
ROUNDING_MS = 0.005


class Profile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        talk = [oracles.PRONY, "--model", oracles.REAL_MODEL, "--prompt", "Who wrote Hamlet?"]
        how = ["--temperature", "0", "--max-tokens", "12", "--threads", "2"]
        run = subprocess.run(
            [*talk, *how, "--profile", "--timing"], cwd=cls.folder, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        cls.said = run.stderr
        cls.trace = next(cls.folder.glob("prony-profile-*.json"))
        # Milliseconds from stamp to stamp, by the protocol: the prompt's, then the tokens'.
        cls.stamped = [
            float(ms) for ms in re.findall(r"^token +\d+ +([\d.]+) ms", run.stderr, re.M)
        ]
        queries = (PROMPT, TOKENS, OPERATIONS, NAMES, THREADS, OVERLAPS, ERRORS)
        rows = oracles.perfetto(cls.trace, *queries)
        (
            cls.prompt,
            cls.tokens,
            cls.operations,
            cls.names,
            cls.threads,
            cls.overlaps,
            cls.errors,
        ) = rows

    def test_perfetto_finds_nothing_wrong(self):
        self.assertEqual((self.errors, self.overlaps), ([], [[0]]))

    def test_the_operations_add_up_to_the_time_of_each_token(self):
        self.assertEqual(len(self.stamped), 12)
        steps = [self.prompt[0][0], *(row[0] for row in self.tokens)]
        sums = [row[1] for row in self.operations]
        self.assertEqual([row[0] for row in self.operations], ["prompt"] + 11 * ["token"])
        # Track 0 is marked without a gap, so its operations are the step to the nanosecond.
        for step, total in zip(steps, sums, strict=True):
            self.assertEqual(total, step)
        # A token is stamped after its step has ended, however long the machine takes the core away
        # in between: no step ends after its stamp. Nearly all of the time is in the steps.
        ends = itertools.accumulate(step / 1e6 for step in steps)
        stamps = itertools.accumulate(self.stamped)
        for count, (end, stamp) in enumerate(zip(ends, stamps, strict=True), start=1):
            self.assertLessEqual(end, stamp + count * ROUNDING_MS)
        ratios = [step / 1e6 / ms for step, ms in zip(steps, self.stamped, strict=True)]
        self.assertAlmostEqual(statistics.median(ratios), 1, delta=0.03)

    def test_each_thread_has_each_layer(self):
        wanted = {
            "attention",
            "down",
            "gate and up",
            "query, key, value",
            "logits",
            "sample",
            "wait",
        }
        self.assertLessEqual(wanted, {row[0] for row in self.names})
        self.assertEqual(self.threads, [["main thread 1", 30 * 12], ["thread 2", 30 * 12]])

    def test_the_table_says_the_same(self):
        def row(name):
            cells = re.search(rf"^{name} +([\d.]+) +[\d.]+ +([\d.]+) +[\d.]+$", self.said, re.M)
            return float(cells[1]), float(cells[2])

        def assert_row(name, prompt, tokens):
            printed = row(name)
            self.assertLess(abs(prompt - printed[0]), 0.01 * printed[0])
            self.assertLess(abs(sum(tokens) / 11 - printed[1]), 0.01 * printed[1])

        prompt, *tokens = (total / 1e6 for _, total in self.operations)
        assert_row("sum", prompt, tokens)
        assert_row("as stamped", self.stamped[0], self.stamped[1:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
