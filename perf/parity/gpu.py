#!/usr/bin/env python3
"""The native engine on a GPU beside compiled PyTorch, in turns, on the same weights.

    perf/parity/gpu.py MODEL [LENGTH...] [--precision bfloat16] [--mode reduce-overhead]

For each length a prompt of so many ids and the tokens after it: by perf/decode_gpu, and by PyTorch's recipe
(pytorch_recipe.py), whose prompt and step are compiled and recorded for that length alone. Its static cache has 128
positions more than the prompt, and every step attends to all of them. GB/s are the bytes that a token has to read at that
length over its time, for both; the limit is what decode_gpu's probe reads right before. A length that PyTorch has not
compiled within --wait seconds is left out of its columns, with the reason.
"""

import argparse
import concurrent.futures
import pathlib
import statistics
import subprocess
import sys
import threading

from parity import Recipe, python_of

DECODE_GPU = pathlib.Path(__file__).resolve().parents[2] / "build/release/perf/decode_gpu"
LENGTHS = [128, 512, 1024, 2048, 4096, 16384]
WORDS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}
PEAK_TFLOPS = 989.5  # NVIDIA's of an H100 or H200, dense, 16 bits
BEYOND = 128  # positions of the static cache for what follows the prompt


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="a file or a folder")
    parser.add_argument("lengths", nargs="*", type=int, default=LENGTHS)
    parser.add_argument("--precision", choices=WORDS, default="bfloat16")
    parser.add_argument("--mode", default="reduce-overhead", help="of torch.compile")
    parser.add_argument("--device", default="cuda", help="PyTorch's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=300, help="seconds for PyTorch to compile")
    parser.add_argument("--python", help="that has PyTorch; default: the installed engine's")
    parser.add_argument("--decode-gpu", default=DECODE_GPU)
    parser.add_argument("--cache", default="/tmp/prony-parity", help="for compile caches")
    o = parser.parse_args()
    if not pathlib.Path(o.decode_gpu).exists():
        parser.error(f"there is no {o.decode_gpu}. Run: make")
    return o


class Native:
    """decode_gpu, a process for each round: the model is loaded and the limit read again."""

    def __init__(self, o):
        self.command = [o.decode_gpu, o.model, WORDS[o.precision], *map(str, o.lengths)]
        self.rows, self.limits = {length: [] for length in o.lengths}, []

    def measure(self):
        done = subprocess.run(self.command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{self.command[0]} ended with status {done.returncode}.")
        for line in done.stdout.splitlines():
            words = line.split()
            if words[0] == "limit":
                self.limits.append(float(words[1]))
            # "128  1.69 ms  190.1 TFLOP/s  19 %  0.8820 ms/token ...", and not "1 x NVIDIA H100 ..."
            elif words[0].isdigit() and words[2] == "ms":
                numbers = dict(zip(words[2::2], map(float, words[1::2])))
                self.rows[int(words[0])].append(numbers)


class Pytorch:
    """The recipe for a length, compiled; it says why where it does not get there."""

    def __init__(self, o, length):
        arguments = [o.model, "--precision", o.precision, "--mode", o.mode, "--device", o.device]
        arguments += ["--compile-prompt"]
        arguments += ["--prompt", str(length), "--context", str(length + BEYOND)]
        self.recipe = Recipe(o.python, "pytorch", arguments, f"{o.cache}/gpu/{length}")
        self.rows = []
        timer = threading.Timer(o.wait, self.recipe.process.kill)
        timer.start()
        try:
            self.recipe.read()
            self.recipe.measure()
            said = "ready"
        except (RuntimeError, OSError) as problem:
            self.recipe, said = None, f"left out: {problem}"
        timer.cancel()
        print(f"PyTorch at {length}: {said}", file=sys.stderr, flush=True)

    def measure(self):
        if self.recipe:
            self.rows.append(self.recipe.measure())

    def end(self):
        if self.recipe:
            self.recipe.end()


def median(rows, key):
    return statistics.median(row[key] for row in rows) if rows else float("nan")


def decoding(length, ours, theirs, limit):
    ms, rate, other = median(ours, "ms/token"), median(ours, "GB/s"), median(theirs, "ms")
    cells = [f"{ms:.3f}", f"{rate:.0f}", f"{100 * rate / limit:.0f} %"]
    beside = rate * ms / other  # of the same bytes
    cells += [f"{other:.3f}", f"{beside:.0f}", f"{100 * beside / limit:.0f} %", f"{other / ms:.2f}"]
    return [str(length), *cells]


def prefilling(length, ours, theirs):
    ms, rate, other = median(ours, "ms"), median(ours, "TFLOP/s"), median(theirs, "first_ms")
    cells = [f"{ms:.2f}", f"{rate:.0f}", f"{100 * rate / PEAK_TFLOPS:.0f} %"]
    beside = rate * ms / other
    cells += [f"{other:.2f}", f"{beside:.0f}", f"{100 * beside / PEAK_TFLOPS:.0f} %"]
    return [str(length), *cells, f"{other / ms:.2f}"]


def table(unit, of, rows):
    print(f"\n| ids | native {unit} | {of} | PyTorch {unit} | {of} | PyTorch / native |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row).replace("nan %", "-").replace("nan", "-") + " |")


def main():
    o = parse()
    o.python = o.python or python_of("pytorch")
    ours = Native(o)
    with concurrent.futures.ThreadPoolExecutor(len(o.lengths)) as pool:
        peers = dict(zip(o.lengths, pool.map(lambda length: Pytorch(o, length), o.lengths)))
    for number in range(o.rounds):
        turns = [ours, *peers.values()]
        for runner in turns if number % 2 else reversed(turns):
            runner.measure()
    limit = statistics.median(ours.limits)
    print(f"{o.precision}, {o.mode}, medians of {o.rounds} rounds; limit {limit:.0f} GB/s")
    rows = [(length, ours.rows[length], peers[length].rows) for length in o.lengths]
    table("ms/token", "GB/s | of the limit", [decoding(*row, limit) for row in rows])
    table("first ms", "TFLOP/s | of the peak", [prefilling(*row) for row in rows])
    for peer in peers.values():
        peer.end()
    sys.exit(any(not peer.rows for peer in peers.values()))


if __name__ == "__main__":
    main()
