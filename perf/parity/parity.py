#!/usr/bin/env python3
"""Is an engine as fast in Prony as its authors' recipe is outside? In turns, on the same weights.

    perf/parity/parity.py MODEL.gguf pytorch-opt tinygrad llamacpp [--device cuda]

Starts each variant's worker, as Prony does, and beside it the recipe, a program of its own; lets all
compile; and then lets one after the other generate, round by round, while the rest sleeps. The worker's
time is what Prony reports: its stamps. The engines are those that are installed in Prony's cache folder.

Beside llama.cpp runs its llama-bench, which decodes random ids from the same depth and samples none.
Beside vLLM runs its LLM.generate, which hands out no id before the last; vLLM takes a safetensors folder of the
same weights, --folder.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ENGINES = HERE.parents[1] / "engines"
LOADER = HERE.parents[1] / "build/release/engines/sdk/load-engine"
PROMPT, WARM_UP, CONTEXT = 64, 8, 256


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--folder", help="the model for engines that take safetensors alone")
    parser.add_argument("--llama-bench", default=shutil.which("llama-bench"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--cache", default="/tmp/prony-parity", help="for compile caches")
    o = parser.parse_args()
    if any(engine_of(variant) == "llamacpp" for variant in o.variants) and not o.llama_bench:
        parser.error("there is no llama-bench on the PATH. Name it: --llama-bench PATH")
    if any(engine_of(variant) == "vllm" for variant in o.variants) and not o.folder:
        parser.error("vLLM takes no GGUF. Name a folder of the same weights: --folder PATH")
    return o


def engine_of(variant):
    return variant.partition("-")[0]


def manifest_of(engine):
    return json.loads((ENGINES / engine / "engine.json").read_text())


def installed(engine):
    """The folder of an installation, of the default version if that is there."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = pathlib.Path(os.environ.get("PRONY_CACHE") or f"{cache}/prony", "engines", engine)
    default = manifest_of(engine)["install"]["versions"][0]["version"]
    ready = sorted([*home.glob("*/ready.json"), *home.glob("*/built-*/ready.json")])
    ready.sort(key=lambda path: path.relative_to(home).parts[0] != default)
    if not ready:
        sys.exit(f"{engine} is not installed. Run: prony engines install {engine}")
    return ready[0].parent


def python_of(engine):
    return json.loads((installed(engine) / "ready.json").read_text())["python"]


def model_of(o, engine):
    """The model as the engine reads it."""
    return str(pathlib.Path(o.folder if engine == "vllm" else o.model).resolve())


class Worker:
    """A variant's worker, by the protocol."""

    log = sys.stderr

    def __init__(self, o, variant):
        engine = engine_of(variant)
        self.variant = next(v for v in manifest_of(engine)["variants"] if v["name"] == variant)
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
        if engine == "llamacpp":
            return [LOADER, installed(engine) / "engine.so"]
        return [python_of(engine), "worker.py"]

    def ask(self, op, **members):
        self.id += 1
        self.requests.write(json.dumps({"id": self.id, "op": op, **members}) + "\n")
        self.requests.flush()
        line = self.replies.readline()
        if not line:
            raise RuntimeError(f"the worker ended with status {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"]["message"])
        return reply

    def load(self):
        o = self.options
        self.ask("hello", protocol=1)
        self.loaded = self.ask(
            "load",
            model=model_of(o, engine_of(self.variant["name"])),
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

    def __init__(self, python, engine, arguments, cache):
        self.process = subprocess.Popen(
            [python, HERE / f"{engine}_recipe.py", *arguments],
            env={
                **os.environ,
                "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor",
                "TRITON_CACHE_DIR": f"{cache}/triton",
                "VLLM_CACHE_ROOT": f"{cache}/vllm",
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


def recipe_of(o, variant, precision):
    engine = engine_of(variant)
    lengths = {"--prompt": PROMPT, "--warm-up": WARM_UP, "--tokens": o.tokens, "--context": CONTEXT}
    arguments = [model_of(o, engine), *recipe_options(o, variant, precision)]
    arguments += [str(word) for pair in lengths.items() for word in pair]
    return Recipe(python_of(engine), engine, arguments, f"{o.cache}/recipe/{variant}")


def recipe_options(o, variant, precision):
    """What a variant is called in its recipe."""
    threads = ["--threads", str(o.threads)]
    if variant.startswith("vllm"):
        return ["--precision", precision, *["--eager"] * (variant == "vllm-eager")]
    if variant.startswith("tinygrad"):
        beam = ["--beam", "2"] if variant == "tinygrad-beam" else []
        return ["--device", o.device.upper(), *beam, *threads]
    if variant.startswith("onnxruntime"):
        graph = "fused" if variant == "onnxruntime-opt" else "plain"
        return ["--device", o.device, "--graph", graph, *threads]
    on_gpu = o.device.startswith("cuda")
    modes = {"pytorch-base": "eager", "pytorch-max": "max-autotune"}
    mode = modes.get(variant, "reduce-overhead" if on_gpu else "default")
    return ["--precision", precision, "--mode", mode, "--device", o.device, *threads]


class LlamaBench:
    """llama-bench, a process for each measurement, on the libraries of the installed engine."""

    def __init__(self, o, variant, _):
        device = o.device.upper().replace(":", "") if o.device != "cpu" else "none"
        device = "CUDA0" if device == "CUDA" else device
        self.tokens = o.tokens
        self.command = [o.llama_bench, "-m", o.model, "-p", "0", "-n", str(o.tokens)]
        self.command += ["-d", str(PROMPT + WARM_UP), "-t", str(o.threads), "-r", "1", "-o", "json"]
        self.command += ["-dev", device, "-ngl", "0" if device == "none" else "99", "-sm", "none"]
        self.command += ["-fa", "1" if variant == "llamacpp-fa" else "auto"]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(installed("llamacpp") / "lib")}

    def read(self):
        """It is ready as it is."""

    def measure(self):
        done = subprocess.run(
            self.command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return {"ms": json.loads(done.stdout)[0]["avg_ns"] / self.tokens / 1e6}

    def end(self):
        """Nothing runs."""


def start(o, variant):
    """Worker and recipe, compiled; None when one of them does not run here: the others go on."""
    try:
        worker = Worker(o, variant)
        worker.load()
        kind = LlamaBench if engine_of(variant) == "llamacpp" else recipe_of
        recipe = kind(o, variant, worker.loaded["precision"])
        worker.warm()
        recipe.read()
        worker.measure(), recipe.measure()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as problem:
        print(f"{variant}: left out: {problem}", file=sys.stderr, flush=True)
        return None
    print(f"{variant}: ready", file=sys.stderr, flush=True)
    return worker, recipe


def median(rows, key):
    return statistics.median(row[key] for row in rows) if key in rows[0] else float("nan")


def row(variant, worker):
    theirs, ours = worker.theirs, worker.ours
    ratios = sorted(a["ms"] / b["ms"] for a, b in zip(ours, theirs))
    print(
        f"| {variant} | {worker.loaded['precision']} | {median(theirs, 'ms'):.3f} "
        f"| {median(theirs, 'ms_unwaited'):.3f} | {median(ours, 'ms'):.3f} "
        f"| {median(ours, 'first_ms'):.3f} "
        f"| {statistics.median(ratios):.3f} ({ratios[0]:.3f}-{ratios[-1]:.3f}) |"
    )
    if "ids" in theirs[0]:
        same = sum(a == b for a, b in zip(ours[0]["ids"], theirs[0]["ids"]))
        print(f"{variant}: {same} of {len(ours[0]['ids'])} ids equal", file=sys.stderr)


def main():
    o = parse()
    with concurrent.futures.ThreadPoolExecutor(len(o.variants)) as pool:
        started = pool.map(lambda variant: start(o, variant), o.variants)
        runs = {variant: pair for variant, pair in zip(o.variants, started) if pair}
    for worker, _ in runs.values():
        worker.ours, worker.theirs = [], []
    for number in range(o.rounds):
        for worker, recipe in runs.values():
            turns = [(worker, worker.ours), (recipe, worker.theirs)]
            for runner, rows in turns if number % 2 else reversed(turns):
                rows.append(runner.measure())
    print(
        "| variant | precision | recipe ms | unwaited | Prony ms | first token ms | Prony / recipe |"
    )
    print("|---|---|---|---|---|---|---|")
    for variant, (worker, recipe) in runs.items():
        row(variant, worker)
        worker.end()
        recipe.end()
    sys.exit(len(runs) < len(o.variants))


if __name__ == "__main__":
    main()
