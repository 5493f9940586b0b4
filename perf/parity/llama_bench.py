#!/usr/bin/env python3
"""Is llama.cpp as fast in Prony as its own llama-bench says? In turns, on the same libraries.

    perf/parity/llama_bench.py MODEL.gguf --llama-bench PATH [--rounds 10] [--threads 2]

Each round has llama-bench and both variants' workers generate the same number of tokens from the same
depth, one after the other, while the rest sleeps. llama-bench is loaded with the libraries of the
installed engine, and neither samples nor has a prompt's ids: it decodes random ones.
"""

import argparse
import glob
import json
import os
import pathlib
import statistics
import subprocess

from parity import CONTEXT, PROMPT, WARM_UP, Worker

HERE = pathlib.Path(__file__).resolve().parent
LOADER = HERE.parents[1] / "build/release/engines/sdk/load-engine"
VARIANTS = "llamacpp", "llamacpp-fa"


def parse():
    cache = os.environ.get("PRONY_CACHE", os.path.expanduser("~/.cache/prony"))
    built = glob.glob(f"{cache}/engines/llamacpp/0*/built-*")
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--built", default=built[0] if built else None)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=64)
    o = parser.parse_args()
    if not o.built:
        parser.error("llamacpp is not installed. Run: prony engines install llamacpp@0.3.36")
    o.device, o.cache = "cpu", "/tmp/prony-parity"
    return o


class LlamaWorker(Worker):
    def command(self, engine):
        return [LOADER, f"{self.options.built}/engine.so"]


def bench(o, flash):
    """Milliseconds a token, by llama-bench."""
    result = subprocess.run(
        [o.llama_bench, "-m", o.model, "-p", "0", "-n", str(o.tokens), "-d", str(PROMPT + WARM_UP)]
        + ["-t", str(o.threads), "-r", "1", "-ngl", "0", "-fa", flash, "-o", "json"],
        env={**os.environ, "LD_LIBRARY_PATH": f"{o.built}/lib"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)[0]["avg_ns"] / o.tokens / 1e6


def main():
    o = parse()
    workers = {}
    for name in VARIANTS:
        workers[name] = LlamaWorker(o, name)
        workers[name].load()
        workers[name].warm()
    runners = {
        "llama-bench": lambda: bench(o, "auto"),
        "llama-bench -fa 1": lambda: bench(o, "1"),
        **{name: lambda w=worker: w.measure()["ms"] for name, worker in workers.items()},
    }
    rows = {name: [] for name in runners}
    for number in range(o.rounds):
        for name in list(runners)[:: 1 if number % 2 else -1]:
            rows[name].append(runners[name]())
    print(f"context {CONTEXT}, {o.threads} threads, depth {PROMPT + WARM_UP}, {o.tokens} tokens")
    print("| | ms a token: median | least | most | to llama-bench: median of the rounds |")
    print("|---|--:|--:|--:|--:|")
    for name, ms in rows.items():
        ratio = statistics.median(a / b for a, b in zip(ms, rows["llama-bench"]))
        print(
            f"| {name} | {statistics.median(ms):.3f} | {min(ms):.3f} | {max(ms):.3f} | {ratio:.3f} |"
        )
    for worker in workers.values():
        worker.end()


if __name__ == "__main__":
    main()
