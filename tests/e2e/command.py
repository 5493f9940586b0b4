"""The prony program, run as a user runs it."""

import os
import subprocess

PRONY = os.environ["PRONY"]


def prony(*words, **environment):
    return subprocess.run(
        [PRONY, *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def model_make(path):
    """A GGUF of the tiny shape."""
    made = prony("model", "make", "--size", "tiny", "--output", path)
    assert made.returncode == 0, made.stderr
    return path
