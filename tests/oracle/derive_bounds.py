"""Where the equivalence gate's bounds come from: tests/oracle/run tests/oracle/derive_bounds.py

For many models and texts, and several honest ways to compute in a precision, how far the logits
lie from float32's, as a multiple of what rounding every operation's output to bfloat16 does to the
same logits. The bounds of src/bench/equivalence.c are multiples of that scale, too."""

import argparse
import math
import sys
from collections import defaultdict

import torch
from rounded_llama import Llama, Rounding, quantised

POSITIONS = 96
UNIT = {"float16": 2**-3, "bfloat16": 1.0, "float32": 2**-16, "int8": 1.0, "nf4": 1.0, "q8_0": 1.0}

HONEST = {
    "all outputs rounded": dict(),
    "weights alone": dict(activations=False),
    "fused attention": dict(fused_attention=True),
    "RMSNorm in two steps": dict(split_norm=True, fused_attention=True),
    "sums in four parts": dict(parts=4),
}

QUANTISED = {  # what is not quantised: activations, attention, norms
    "activations in float32": None,
    "activations in float16": Rounding("float16", weights=False),
    "activations in bfloat16": Rounding("bfloat16", weights=False),
}
BLOCKS = {  # ggml's products of Q8_0 quantise what they take; the first is as the gate's scale
    "products of Q8_0": Rounding(blocks=True),
    "products of Q8_0, the rest in float16": Rounding("float16", weights=False, blocks=True),
    "products of Q8_0, the rest in bfloat16": Rounding("bfloat16", weights=False, blocks=True),
}

SHAPES = {  # hidden, layers, heads, kv_heads, ffn, vocabulary
    "64 x 2": (64, 2, 4, 2, 192, 512),
    "192 x 6": (192, 6, 3, 1, 512, 1000),
    "128 x 24": (128, 24, 4, 4, 320, 1000),
    "512 x 4": (512, 4, 8, 2, 1408, 1000),
}


def divergence(reference, other):
    """Mean KL in nats, and the largest error of a logit as a share of its row's range."""
    p = torch.log_softmax(reference.double(), -1)
    q = torch.log_softmax(other.double(), -1)
    kl = (p.exp() * (p - q)).sum(-1).mean().item()
    span = reference.max(-1).values - reference.min(-1).values
    return kl, ((other - reference).abs().max(-1).values / span).max().item()


def scale_of(model, ids, reference):
    rounding = Rounding("bfloat16")
    return divergence(reference, model.logits(ids, rounding))


def ratios(model, ids, precisions):
    """For each precision and way: the two measures over the scale times the precision's unit."""
    reference = model.logits(ids, dtype=torch.float64).float()
    scale = scale_of(model, ids, reference)
    for precision, unit in UNIT.items():
        if precision in ("int8", "nf4", "q8_0") or precision not in precisions:
            continue
        ways = HONEST if precision != "float32" else {"sums in float32": None}
        for way, options in ways.items():
            rounding = Rounding(precision, **options) if options is not None else None
            kl, error = divergence(reference, model.logits(ids, rounding))
            yield precision, way, kl / scale[0] / unit**2, error / scale[1] / unit
    for precision in {"int8", "nf4", "q8_0"} & set(precisions):
        other = quantised(model, precision)
        ways = {**BLOCKS, **QUANTISED} if precision == "q8_0" else QUANTISED
        for way, rounding in ways.items():
            kl, error = divergence(reference, other.logits(ids, rounding))
            yield precision, way, kl / scale[0], error / scale[1]
            if way == next(iter(ways)):
                own = kl, error
            else:  # as the gate has it: over what the native engine does
                yield f"{precision} over its own", way, kl / own[0], error / own[1]


def models(real, seeds):
    for name, shape in SHAPES.items():
        for seed in range(seeds):
            model = Llama.random(seed, *shape, gain=1.0 if seed % 2 == 0 else 0.7)
            generator = torch.Generator().manual_seed(1000 + seed)
            yield (
                name,
                model,
                torch.randint(0, shape[5], (POSITIONS,), generator=generator).tolist(),
            )
    if real:
        ids = [int(word) for word in real[1].split(",")]
        model = Llama.read(real[0])
        for start in range(0, len(ids) - POSITIONS + 1, POSITIONS):
            yield "SmolLM2-135M", model, ids[start : start + POSITIONS]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--precision", nargs="+", choices=UNIT, default=list(UNIT))
    parser.add_argument("--real", nargs=2, metavar=("FOLDER", "IDS"))
    options = parser.parse_args()
    found = defaultdict(list)
    for name, model, ids in models(options.real, options.seeds):
        for precision, way, kl, error in ratios(model, ids, options.precision):
            found[precision, way].append((name, kl, error, way))
            print(f"{name}: {precision}, {way}: {kl:.2f} {error:.2f}", file=sys.stderr, flush=True)
    print("| precision | way | n | KL: median | most | error: median | most |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for (precision, way), rows in found.items():
        kls, errors = sorted(row[1] for row in rows), sorted(row[2] for row in rows)
        middle = len(rows) // 2
        print(
            f"| {precision} | {way} | {len(rows)} | {kls[middle]:.2f} | {kls[-1]:.2f} "
            f"| {errors[middle]:.2f} | {errors[-1]:.2f} |"
        )
    for precision in sorted({precision for precision, _ in found}):
        rows = [row for key, some in found.items() if key[0] == precision for row in some]
        for index, word in ((1, "KL"), (2, "error")):
            logs = [math.log(row[index]) for row in rows if "weights" not in row[3]]
            mean = sum(logs) / len(logs)
            deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1))
            worst = max(rows, key=lambda row: row[index])
            print(
                f"{precision} {word}: most {worst[index]:.2f} ({worst[0]}, {worst[3]}), "
                f"mean + 4 deviations of the logarithms {math.exp(mean + 4 * deviation):.2f}"
            )


if __name__ == "__main__":
    main()
