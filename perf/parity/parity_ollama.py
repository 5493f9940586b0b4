#!/usr/bin/env python3
"""Are Prony's stamps of Ollama's tokens what Ollama says of them? Its own durations beside them.

    perf/parity/parity_ollama.py MODEL.gguf OLLAMA [--threads N] [--rounds N] [--tokens N]

Starts the worker on a program OLLAMA, as Prony does. For each answer it compares the time to the first
token with load_duration and prompt_eval_duration, and that from the first token to the last with eval_duration, which is
of as many steps. TEXT must become the same ids in Ollama; that is checked by the worker.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile

from parity import Worker

PRONY = pathlib.Path(__file__).resolve().parents[2] / "build/release/prony"
TEXT = "The brake is a simple machine. Two wooden jaws close around the shaft of an engine, and a "
OWN = re.compile(r"Ollama's own: (\d+) (\d+) (\d+) ns .* (\d+) tokens")


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ollama")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=64)
    o = parser.parse_args()
    return argparse.Namespace(
        **vars(o), python="python3", device="cpu", cache=tempfile.mkdtemp(prefix="prony-parity-")
    )


class OllamaWorker(Worker):
    def __init__(self, o, log):
        self.log = log
        super().__init__(o, "ollama")

    def command(self, engine):
        return [self.options.python, "worker.py", self.options.ollama]


def prompt(o):
    command = [PRONY, "model", "tokenize", o.model, "--bos", "--json", "--text", TEXT.strip()]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["ids"]


def measure(o, worker, log):
    """Milliseconds to the first token and for each further one: by stamps, and by Ollama."""
    reply = worker.ask("generate", prompt=worker.prompt, tokens=o.tokens)
    stamps = reply["stamps_ns"]
    *_, told = OWN.findall(log.read_text())
    before, prompt_eval, rest, count = map(int, told)
    steps = count - 1
    ours = (stamps[0] - reply["prompt_ns"]) / 1e6, (stamps[-1] - stamps[0]) / steps / 1e6
    return ours, ((before + prompt_eval) / 1e6, rest / steps / 1e6)


def main():
    o = parse()
    log = pathlib.Path(o.cache, "log")
    with log.open("w") as file:
        worker = OllamaWorker(o, file)
    worker.load()
    worker.prompt = prompt(o)
    measure(o, worker, log)
    rounds = [measure(o, worker, log) for _ in range(o.rounds)]
    worker.end()
    shutil.rmtree(o.cache)
    print("| | Ollama's own ms | Prony ms | Prony / own |\n|---|---|---|---|")
    for place, name in enumerate(("first token", "each further token")):
        ours, own = ([round_[side][place] for round_ in rounds] for side in (0, 1))
        ratios = sorted(a / b for a, b in zip(ours, own))
        print(
            f"| {name} | {statistics.median(own):.3f} | {statistics.median(ours):.3f} "
            f"| {statistics.median(ratios):.4f} ({ratios[0]:.4f}-{ratios[-1]:.4f}) |"
        )


if __name__ == "__main__":
    main()
