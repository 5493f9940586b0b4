"""The equivalence gate's measures against scipy, honest roundings within its bounds, and planted
faults beyond them. What it measures of each is printed: docs/equivalence.md has the table."""

import tempfile
import unittest
from pathlib import Path

import numpy
import torch
from oracles import tool
from quantised import BLOCK, NF4, nf4
from rounded_llama import Fault, Llama, Rounding, quantised
from scipy import special, stats

POSITIONS, VOCABULARY = 128, 1000
SHAPE = dict(hidden=256, layers=6, heads=4, kv_heads=2, ffn=704, vocabulary=VOCABULARY)
SCALING = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def gate(folder, precision, reference, rounded, other, *more):
    """What tests/tools/equivalence.c says: a dictionary."""
    paths = [Path(folder) / name for name in ("reference", "rounded", "other")]
    for path, logits in zip(paths, (reference, rounded, other), strict=True):
        numpy.asarray(logits, dtype=numpy.float32).tofile(path)
    words = tool("equivalence", precision, *reference.shape, *paths, *more).split()
    names = ("kl_mean", "kl_most", "kl_bound", "error_most", "error_bound", "agreeing", "broken")
    found = {name: float(word) for name, word in zip(names, words, strict=False)}
    return found | {"verdict": words[-1].decode()}


def block_quantised(weight, bits):
    """Blocks of 32 with a scale each: 8 bits are Q8_0; 4 bits with a minimum are as fine as Q4_K."""
    blocks = weight.reshape(-1, 32)
    if bits == 8:
        scale = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
        return (scale * (blocks / scale).round()).reshape(weight.shape)
    low = blocks.amin(-1, keepdim=True).half().float()
    scale = ((blocks.amax(-1, keepdim=True) - low) / 15).half().float()
    return (low + scale * ((blocks - low) / scale).round().clamp(0, 15)).reshape(weight.shape)


class Measures(unittest.TestCase):
    def test_against_scipy(self):
        random = numpy.random.default_rng(1)
        with tempfile.TemporaryDirectory() as folder:
            for scale in (1e-4, 0.1, 3):
                reference = (4 * random.standard_normal((7, 901))).astype(numpy.float32)
                noise = scale * random.standard_normal(reference.shape)
                other = (reference + noise).astype(numpy.float32)
                found = gate(folder, "bfloat16", reference, other, other)
                p = special.softmax(reference.astype(float), axis=1)
                q = special.softmax(other.astype(float), axis=1)
                kl = stats.entropy(p, q, axis=1)
                error = numpy.abs(other.astype(float) - reference).max(1) / numpy.ptp(reference, 1)
                agreeing = (reference.argmax(1) == other.argmax(1)).sum()
                self.assertAlmostEqual(found["kl_mean"] / kl.mean(), 1, places=6)
                self.assertAlmostEqual(found["kl_most"] / kl.max(), 1, places=6)
                self.assertAlmostEqual(found["error_most"] / error.max(), 1, places=6)
                self.assertEqual(found["agreeing"], agreeing)

    def test_of_some_ids_against_scipy(self):
        """The best 20 of the other's ids, all others as one; every seventh row tells nothing."""
        random = numpy.random.default_rng(2)
        rows = [row for row in range(14) if row % 7]
        with tempfile.TemporaryDirectory() as folder:
            for scale in (0.01, 0.1, 3):
                reference = (4 * random.standard_normal((14, 901))).astype(numpy.float32)
                other = reference + scale * random.standard_normal(reference.shape)
                p = special.softmax(reference.astype(float), axis=1)
                log_q = special.log_softmax(other, axis=1)
                told = numpy.full(reference.shape, numpy.nan, numpy.float32)
                coarse, errors, favour = [], [], 0
                for row in rows:
                    best = numpy.argsort(-other[row])[:20]
                    told[row, best] = log_q[row, best]
                    own, its = p[row, best], numpy.exp(log_q[row, best])
                    rest = 1 - own.sum(), 1 - its.sum()
                    coarse.append(stats.entropy([*own, rest[0]], [*its, rest[1]]))
                    favour = max(favour, 1e-6 * rest[0] / rest[1])  # of what float32 leaves open
                    spread = numpy.ptp((other - reference)[row, best])
                    errors.append(spread / 2 / numpy.ptp(reference[row]))
                found = gate(folder, "bfloat16", reference, reference, told, "partial")
                self.assertAlmostEqual(found["kl_mean"], numpy.mean(coarse), delta=1e-6 + favour)
                self.assertAlmostEqual(found["kl_most"], max(coarse), delta=1e-6 + favour)
                self.assertAlmostEqual(found["error_most"] / max(errors), 1, places=3)
                whole = stats.entropy(p[rows], numpy.exp(log_q[rows]), axis=1)
                self.assertLess(found["kl_mean"], whole.mean())
                agreeing = reference.argmax(1) == other.argmax(1)
                self.assertEqual(found["agreeing"], agreeing[rows].sum())


class GateCase(unittest.TestCase):
    """A random model, its reference and its scale."""

    @classmethod
    def setUpClass(cls):
        torch.set_num_threads(1)
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.model = Llama.random(5, **SHAPE, rope_scaling=SCALING)
        generator = torch.Generator().manual_seed(6)
        cls.ids = torch.randint(0, VOCABULARY, (POSITIONS,), generator=generator).tolist()
        cls.reference = cls.model.logits(cls.ids)
        cls.rounded = cls.model.logits(cls.ids, Rounding("bfloat16"))

    def measure(self, name, precision, logits):
        found = gate(self.folder, precision, self.reference, self.rounded, logits)
        print(
            f"| {name} | {precision} | {found['kl_mean']:.2g} | {found['kl_bound']:.2g} "
            f"| {found['error_most']:.2g} | {found['error_bound']:.2g} | {found['verdict']} |"
        )
        return found["verdict"]


class Faults(GateCase):
    def expect(self, verdict, name, precision, fault=None, **options):
        rounding = Rounding(precision, **options)
        logits = self.model.logits(self.ids, rounding, fault)
        self.assertEqual(self.measure(name, precision, logits), verdict, name)

    def test_honest_engines_pass(self):
        for precision in ("float32", "float16", "bfloat16"):
            for name, options in {
                "all outputs rounded": {},
                "weights alone": dict(activations=False),
                "fused attention": dict(fused_attention=True),
                "sums in four parts": dict(parts=4),
                "RMSNorm in two steps": dict(split_norm=True),
            }.items():
                self.expect("equivalent", name, precision, **options)

    def test_no_rope_scaling(self):
        for precision in ("float32", "float16", "bfloat16"):
            self.expect("different", "no rope scaling", precision, Fault(rope_scaling=False))

    def test_heads_permuted(self):
        for precision in ("float32", "float16", "bfloat16"):
            self.expect("different", "q and k permuted wrongly", precision, Fault(swap_qk=True))

    def test_layer_missing(self):
        for precision in ("float32", "float16", "bfloat16"):
            self.expect("different", "one layer missing", precision, Fault(drop_layer=3))

    def test_cache_off_by_one(self):
        for precision in ("float32", "float16", "bfloat16"):
            self.expect("different", "KV cache off by one", precision, Fault(shift_cache=1))

    def test_quantised_weights(self):
        for bits, name in ((8, "Q8_0 weights"), (4, "Q4 weights")):
            weights = {
                key: block_quantised(weight, bits)
                for key, weight in self.model.weights.items()
                if weight.dim() == 2
            }
            self.expect("different", name, "float16", Fault(weights=weights), activations=False)

    def test_wrong_epsilon(self):
        for factor, precision in ((0.1, "float32"), (0.1, "float16"), (100, "bfloat16")):
            name = f"rms eps {1e-5 * factor:.0e}"
            self.expect("different", name, precision, Fault(eps_factor=factor))

    def test_float16_overflow(self):
        at = "model.layers.2.mlp.up_proj.weight"
        down = "model.layers.2.mlp.down_proj.weight"
        model = Llama(self.model.config, dict(self.model.weights))
        model.weights[at] = model.weights[at] * 2.0**17
        model.weights[down] = model.weights[down] * 2.0**-17
        logits = model.logits(self.ids, Rounding("float16"))
        self.assertEqual(self.measure("float16 overflow", "float16", logits), "different")

    def test_one_token_too_many(self):
        logits = self.model.logits([1, *self.ids], Rounding("bfloat16"))[1:]
        self.assertEqual(self.measure("a token too many", "bfloat16", logits), "different")

    def test_rounded_frequencies(self):
        """What model.to(bfloat16) does: it shows at positions beyond a few hundred."""
        generator = torch.Generator().manual_seed(7)
        ids = torch.randint(0, VOCABULARY, (512,), generator=generator).tolist()
        model = Llama.random(5, **SHAPE)
        self.reference = model.logits(ids)
        self.rounded = model.logits(ids, Rounding("bfloat16"))
        for verdict, fault in (("equivalent", Fault()), ("different", Fault(round_rope=True))):
            logits = model.logits(ids, Rounding("bfloat16"), fault)
            name = "rope frequencies rounded" if fault.round_rope else "none, 512 positions"
            self.assertEqual(self.measure(name, "bfloat16", logits), verdict, name)


def rows_shifted(name, weight):
    """A row's scale where the next one's belongs."""
    if weight.dim() != 2:
        return weight
    scale = weight.abs().amax(1, keepdim=True)
    return weight / scale * scale.roll(1, 0)


def scale_halved(name, weight):
    return weight / 2 if name.endswith("mlp.down_proj.weight") else weight


def rows_swapped(name, weight):
    """The rows of a query head in the order of the other layout."""
    if not name.endswith("self_attn.q_proj.weight"):
        return weight
    return weight.reshape(-1, 2, 32, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def code_off_by_one(name, weight):
    """nf4 looked up one place too high."""
    if weight.dim() != 2 or ".layers." not in name:
        return weight
    codes, scales = nf4(weight.numpy())
    values = NF4[numpy.minimum(codes + 1, 15)] * numpy.repeat(scales, BLOCK, 1)
    return torch.from_numpy(values)


class QuantisedFaults(GateCase):
    """What the gate says of int8, nf4 and q8_0: honest ones, and some that are not."""

    def scale(self, precision):
        """What the same quantising does, the rest in float32; products of Q8_0 quantise what they take."""
        rounding = Rounding(blocks=precision == "q8_0")
        return quantised(self.model, precision).logits(self.ids, rounding)

    def quantised(self, verdict, name, precision, change=None, rounding=None):
        self.rounded = self.scale(precision)
        rounding = rounding or Rounding(blocks=precision == "q8_0")
        logits = quantised(self.model, precision, change).logits(self.ids, rounding)
        self.assertEqual(self.measure(name, precision, logits), verdict, name)

    def test_honest(self):
        for precision in ("int8", "nf4", "q8_0"):
            self.quantised("equivalent", "float32 beside", precision)
            for beside in ("float16", "bfloat16"):
                rounding = Rounding(beside, weights=False)
                self.quantised("equivalent", f"{beside} beside", precision, None, rounding)

    def test_honest_blocks(self):
        """As ggml's products have it, which quantise what they take."""
        for beside in ("float16", "bfloat16"):
            rounding = Rounding(beside, weights=False, blocks=True)
            self.quantised("equivalent", f"products of Q8_0, {beside}", "q8_0", None, rounding)
        self.quantised("equivalent", "weights alone", "q8_0", None, Rounding())

    def test_wrong_scales(self):
        for precision in ("int8", "nf4", "q8_0"):
            self.quantised("different", "scales of the next row", precision, rows_shifted)
            self.quantised("different", "half a scale in down_proj", precision, scale_halved)

    def test_wrong_rows(self):
        for precision in ("int8", "nf4", "q8_0"):
            self.quantised("different", "rows of q permuted", precision, rows_swapped)

    def test_wrong_code(self):
        self.quantised("different", "code off by one", "nf4", code_off_by_one)

    def test_fewer_bits_than_claimed(self):
        self.rounded = quantised(self.model, "int8").logits(self.ids)
        logits = quantised(self.model, "nf4").logits(self.ids)
        self.assertEqual(self.measure("nf4 passed off as int8", "int8", logits), "different")
        self.rounded = self.scale("q8_0")
        self.assertEqual(self.measure("nf4 passed off as q8_0", "q8_0", logits), "different")
        self.rounded = self.model.logits(self.ids, Rounding("bfloat16"))
        logits = quantised(self.model, "int8").logits(self.ids)
        self.assertEqual(self.measure("int8 passed off as float16", "float16", logits), "different")


if __name__ == "__main__":
    unittest.main()
