"""tinygrad's own llm app, outside Prony: its model and its loop, as `python -m tinygrad.llm` runs them.

    python tinygrad_recipe.py MODEL.gguf --device CUDA --beam 2

Says when it is ready; then, for each line of its standard input, prints JSON: milliseconds for each token.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import sys
import time
import types


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--device", default="CPU")
    parser.add_argument("--beam", default="")
    parser.add_argument("--threads", default="")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--context", type=int, default=256)
    return parser.parse_args()


def transformer():
    """The app's model. The wheel of 0.14.0 lacks a package that it imports for AMD's kernels only."""
    from tinygrad import nn

    if importlib.util.find_spec("tinygrad.llm.kernels") is None:
        amd = types.ModuleType("tinygrad.llm.kernels.amd")
        amd.Linear, amd.amd_custom_kernels_supported = nn.Linear, lambda device: False
        amd.gated_delta_prefill = amd.flash_attention = None
        sys.modules["tinygrad.llm.kernels"] = types.ModuleType("tinygrad.llm.kernels")
        sys.modules["tinygrad.llm.kernels.amd"] = amd
    from tinygrad.llm.model import Transformer

    return Transformer


def measure(model, prompt, count):
    """Ids and stamps of a fresh sequence."""
    model._cached_tokens = []  # nothing of the last one is reused
    # The prompt's jit fails on CUDA when it is captured (docs/engines/tinygrad.md): it never is.
    model.prefill_jit.reset()
    ids, stamps = [], []
    for token in model.generate(list(prompt), chunk_size=len(prompt)):
        ids.append(token)
        stamps.append(time.perf_counter())
        if len(stamps) > count:
            break
    return ids, stamps


def main():
    o = parse()
    os.environ["DEV"] = o.device
    if o.beam:
        os.environ["JITBEAM"] = o.beam
    if o.threads:
        os.environ["NUM_CPU_THREADS"] = os.environ["CPU_COUNT"] = o.threads
    # As REALIZE=1 has it: else the weights stay bytes of the file, put together again for every token.
    model, _ = transformer().from_gguf(pathlib.Path(o.model), o.context, realize=True)
    vocabulary = model.output.weight.shape[0]
    prompt = [(i * 7919 + 13) % vocabulary for i in range(o.prompt)]
    count = o.warm_up + o.tokens
    for _ in range(3):
        measure(model, prompt, 4)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        ids, stamps = measure(model, prompt, count)
        ms = (stamps[count] - stamps[o.warm_up]) / o.tokens * 1e3
        print(json.dumps({"ms": ms, "ids": ids[:16]}), flush=True)


if __name__ == "__main__":
    main()
