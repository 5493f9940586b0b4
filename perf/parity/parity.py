#!/usr/bin/env python3
"""Is an engine as fast in Prony as its authors' recipe is outside? In turns, on the same weights.

    perf/parity/parity.py MODEL.gguf pytorch-opt pytorch-max --python PYTHON [--device cuda]

Starts each variant's worker, as Prony does, and beside it the recipe, a script of its own; lets all
compile; and then lets one after the other generate, round by round, while the rest sleeps. The worker's
time is what Prony reports: its stamps. PYTHON is the engine's own interpreter, in
~/.cache/prony/engines/NAME/VERSION/environment/bin.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ENGINES = HERE.parents[1] / "engines"
PROMPT, WARM_UP, CONTEXT = 64, 8, 256


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--python", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--cache", default="/tmp/prony-parity", help="for compile caches")
    return parser.parse_args()


class Worker:
    """A variant's worker, by the protocol."""

    log = sys.stderr

    def __init__(self, o, variant):
        engine = variant.split("-")[0]
        manifest = json.loads((ENGINES / engine / "engine.json").read_text())
        self.variant = next(v for v in manifest["variants"] if v["name"] == variant)
        self.options, self.id = o, 0
        to_worker, from_worker = os.pipe(), os.pipe()
        cache = pathlib.Path(o.cache, "worker", variant)
        cache.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "PRONY_FD_IN": str(to_worker[0]),
            "PRONY_FD_OUT": str(from_worker[1]),
            "PRONY_ENGINE_CACHE": str(cache),
            "PRONY_ENGINE_SCRATCH": str(cache),
            "PYTHONPATH": f"{ENGINES / 'sdk'}:{os.environ.get('PYTHONPATH', '')}",
        }
        self.process = subprocess.Popen(
            self.command(engine),
            cwd=ENGINES / engine,
            env=environment,
            stdout=self.log,
            pass_fds=(to_worker[0], from_worker[1]),
        )
        os.close(to_worker[0])
        os.close(from_worker[1])
        self.requests, self.replies = os.fdopen(to_worker[1], "w"), os.fdopen(from_worker[0])

    def command(self, engine):
        return [self.options.python, "worker.py"]

    def ask(self, op, **members):
        self.id += 1
        self.requests.write(json.dumps({"id": self.id, "op": op, **members}) + "\n")
        self.requests.flush()
        reply = json.loads(self.replies.readline())
        if "error" in reply:
            raise RuntimeError(f"{self.variant['name']}: {reply['error']}")
        return reply

    def load(self):
        o = self.options
        self.ask("hello", protocol=1)
        self.loaded = self.ask(
            "load",
            model=str(pathlib.Path(o.model).resolve()),
            variant=self.variant["name"],
            device=o.device,
            precision="",
            quantize="",
            shard=1,
            threads=o.threads,
            context=CONTEXT,
            options=self.variant.get("options", {}),
        )
        vocabulary = self.loaded["vocabulary"]
        self.prompt = [(i * 7919 + 13) % vocabulary for i in range(PROMPT)]

    def warm(self):
        for _ in range(2):
            self.ask("generate", prompt=self.prompt, tokens=4)

    def measure(self):
        count = WARM_UP + self.options.tokens
        reply = self.ask("generate", prompt=self.prompt, tokens=count + 1)
        stamps = reply["stamps_ns"]
        ms = (stamps[count] - stamps[WARM_UP]) / self.options.tokens / 1e6
        first = (stamps[0] - reply["prompt_ns"]) / 1e6
        return {"ms": ms, "first_ms": first, "ids": reply["ids"][:16]}

    def end(self):
        self.ask("bye")
        self.process.wait()


class Recipe:
    """The script beside this one that its engine's authors would write."""

    def __init__(self, o, variant, precision):
        engine, options = variant.split("-")[0], []
        if engine == "pytorch":
            mode = {"pytorch-base": "eager", "pytorch-max": "max-autotune"}.get(variant)
            mode = mode or ("reduce-overhead" if o.device.startswith("cuda") else "default")
            options = ["--precision", precision, "--mode", mode, "--device", o.device]
        elif engine == "tinygrad":
            options = ["--device", o.device.upper(), "--beam", "2" * variant.endswith("beam")]
        elif engine == "onnxruntime":  # its recipe is for the CPU
            options = ["--graph", "fused" if variant.endswith("opt") else "plain"]
        cache = f"{o.cache}/recipe/{variant}"
        self.process = subprocess.Popen(
            [o.python, HERE / f"{engine}_recipe.py", o.model, *options]
            + ["--threads", str(o.threads), "--prompt", str(PROMPT), "--warm-up", str(WARM_UP)]
            + ["--tokens", str(o.tokens), "--context", str(CONTEXT)],
            env={
                **os.environ,
                "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
                "TRITON_CACHE_DIR": f"{cache}/triton",
                "CACHEDB": f"{cache}/cache.db",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the recipe ended with status {self.process.wait()}")

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def start(o, variant):
    """Worker and recipe, compiled."""
    worker = Worker(o, variant)
    worker.load()
    recipe = Recipe(o, variant, worker.loaded["precision"])
    worker.warm()
    recipe.read()
    print(f"{variant}: ready", file=sys.stderr, flush=True)
    return worker, recipe


def table(o, runs):
    print(
        "| variant | precision | recipe ms | unwaited | Prony ms | first token ms | Prony / recipe |"
    )
    print("|---|---|---|---|---|---|---|")
    for variant, (worker, _) in runs.items():
        theirs, ours = worker.theirs, worker.ours
        ratios = sorted(a["ms"] / b["ms"] for a, b in zip(ours, theirs))
        median = {
            name: statistics.median(r[key] for r in rows) if key in rows[0] else float("nan")
            for name, rows, key in (
                ("recipe", theirs, "ms"),
                ("unwaited", theirs, "ms_unwaited"),
                ("prony", ours, "ms"),
                ("first", ours, "first_ms"),
            )
        }
        same = sum(a == b for a, b in zip(ours[0]["ids"], theirs[0]["ids"]))
        print(
            f"| {variant} | {worker.loaded['precision']} | {median['recipe']:.3f} "
            f"| {median['unwaited']:.3f} | {median['prony']:.3f} | {median['first']:.3f} "
            f"| {statistics.median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f}) |"
        )
        print(f"{variant}: {same} of {len(ours[0]['ids'])} ids equal", file=sys.stderr)


def main():
    o = parse()
    with concurrent.futures.ThreadPoolExecutor(len(o.variants)) as pool:
        started = pool.map(lambda variant: start(o, variant), o.variants)
        runs = dict(zip(o.variants, started))
    for worker, recipe in runs.values():
        worker.ours, worker.theirs = [], []
        worker.measure(), recipe.measure()
    for number in range(o.rounds):
        for worker, recipe in runs.values():
            turns = [(worker, worker.ours), (recipe, worker.theirs)]
            for runner, rows in turns if number % 2 else reversed(turns):
                rows.append(runner.measure())
    table(o, runs)
    for worker, recipe in runs.values():
        worker.end()
        recipe.end()


if __name__ == "__main__":
    main()
