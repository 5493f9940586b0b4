"""The llamacpp engine on the real library. It is built by `prony engines install llamacpp`, which is too
long for every run of the tests: without it these are skipped."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from gguf_parts import cut

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])


def prony(*words, **more):
    return subprocess.run(
        [PRONY, *map(str, words)], capture_output=True, text=True, timeout=900, check=False, **more
    )


class Built(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def model(self, precision, size="tiny"):
        path = self.root / f"{size}.{precision}.gguf"
        result = prony("model", "make", "--size", size, "--precision", precision, "--output", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def test_keeps_to_the_protocol(self):
        result = prony("engines", "check", "llamacpp")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_computes_what_the_reference_does(self):
        for file, label in (("float32", "mixed"), ("float16", "float16"), ("bfloat16", "bfloat16")):
            output = self.root / "run.json"
            result = prony(
                *("bench", "--quick", "--iterations", "5", "--framework", "llamacpp"),
                *("--model-path", self.model(file), "--output", output),
                env={**os.environ, "PRONY_STORE": str(self.root / "store.db")},
            )
            told = result.stdout + result.stderr
            self.assertEqual(
                len(re.findall(r"equivalence +llamacpp\S* +equivalent", told)), 2, told
            )
            rows = json.loads(output.read_text())["results"]
            self.assertEqual({row["precision"] for row in rows}, {label})

    def test_parts_are_the_whole(self):
        whole = self.model("float32")
        first, *_ = cut(whole, self.root / "parts", 3)
        told = {
            path: prony("engines", "run", "llamacpp", "--model", path).stdout
            for path in (whole, first.parent)
        }
        ids = [re.findall(r"ms  id (\d+)", text) for text in told.values()]
        self.assertGreater(len(ids[0]), 4, told)
        self.assertEqual(*ids)
        self.assertIn("mixed", told[first.parent])

    def test_cut_file(self):
        model = self.model("float16")
        run = ("engines", "run", "llamacpp", "--model")
        whole = model.read_bytes()
        model.write_bytes(whole[:-1000])
        self.assertRegex(prony(*run, model).stderr, "Error: .*(bounds|beyond the end)")

    def test_answers_a_question(self):
        fetched = subprocess.run(
            [SOURCE / "scripts/fetch-model"], capture_output=True, text=True, check=True
        ).stdout.strip()
        model = self.root / "smollm2.gguf"
        prony("model", "convert", fetched, "--precision", "float16", "--output", model)
        answers = {
            prony(
                *("--framework", framework, "--model", model, "--prompt", "Who wrote Hamlet?"),
                *("--temperature", "0", "--max-tokens", "20"),
            ).stdout
            for framework in ("llamacpp", "llamacpp-fa", "native-f16")
        }
        self.assertEqual(len(answers), 1, answers)
        self.assertIn("Shakespeare", answers.pop())

        # More than any machine has, where the host has not looked.
        huge = ("--model", model, "--context", "90000000", "--no-memory-check")
        told = prony("engines", "run", "llamacpp", *huge).stderr
        self.assertRegex(told, r"KV cache of 90000000 positions takes \d{4}\.\d GB, .*--context")


if __name__ == "__main__":
    if prony("engines", "doctor", "llamacpp").returncode != 0:
        print("skipped: llamacpp is not installed. Run: prony engines install llamacpp")
        sys.exit(77)
    unittest.main()
