"""The ollama engine on the real program. It is built by `prony engines install ollama`, which is too long for
every run of the tests: without it this is skipped."""

import os
import subprocess
import sys
import unittest

PRONY = os.environ["PRONY"]


def prony(*words):
    return subprocess.run([PRONY, *words], capture_output=True, text=True, check=False)


class Built(unittest.TestCase):
    def test_keeps_to_the_protocol(self):
        result = prony("engines", "check", "ollama")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    if prony("engines", "doctor", "ollama").returncode != 0:
        print("skipped: ollama is not installed. Run: prony engines install ollama")
        sys.exit(77)
    unittest.main()
