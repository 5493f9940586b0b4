"""What prony_model makes of weights for --quantize, bit for bit against docs/quantisation.md done one
weight at a time in float64 (a quotient of two float32 that is rounded from float64 is the float32
one), and the NormalFloat code against the paper's formula and bitsandbytes' table."""

import bisect
import os
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import oracles
from scipy.stats import norm

sys.path.insert(0, os.environ["PRONY_SOURCE"] + "/engines/sdk")
from prony_model import LlamaFile, Tensor  # noqa: E402
from prony_model.quantise import CODE, check_quantisable, is_quantised, quantise  # noqa: E402
from prony_worker import Failure  # noqa: E402

# bitsandbytes.functional.get_4bit_type("nf4"), as it prints.
BITSANDBYTES = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip


def as_float32(value):
    return float(np.float32(value))


MIDPOINTS = [as_float32((a + b) / 2) for a, b in zip(BITSANDBYTES, BITSANDBYTES[1:])]


def int8_row(row):
    scale = as_float32(max(map(abs, row)) / 127)
    if scale == 0:
        return [0] * len(row), scale
    # Python's round is to nearest, ties to even.
    return [max(-127, min(127, round(as_float32(w / scale)))) for w in row], scale


def nf4_block(block):
    scale = max(map(abs, block))
    return [
        bisect.bisect_left(MIDPOINTS, as_float32(w / scale) if scale else 0) for w in block
    ], scale


def weights(generator, columns):
    """Ordinary rows, and such as lie on the edges of the definition."""
    rows = generator.normal(0, 0.02, (40, columns)).astype(np.float32)
    rows[1] = 0
    rows[2, 64:] = 0  # a block of zeros in a row that has others
    rows[3] = 1e-45  # the scale of int8 underflows to 0
    rows[4] = np.arange(columns) * np.float32(1e-45)  # subnormal, and so is the scale
    rows[5] = generator.choice(np.float32([-1, 1]), columns)
    rows[6, :255] = np.arange(-127, 128) / np.float32(2)  # halves: ties
    rows[6, 255] = 127
    rows[7] = np.resize(np.float32(MIDPOINTS), columns)
    rows[7, ::64] = 1  # the scale, so that quotients are the midpoints
    rows[8] = np.nextafter(rows[7], np.float32(2))
    rows[9] = rows[9] / np.abs(rows[9]).max() * np.float32(3e38)
    return rows


class Definition(unittest.TestCase):
    def check(self, tensor, rows):
        """That a tensor is quantised as its values in float32, [rows, columns], are."""
        starts, codes, scales = zip(*quantise(tensor, "int8"))
        self.assertEqual(starts[0], 0)
        expected, expected_scales = zip(*(int8_row(row) for row in rows.tolist()))
        np.testing.assert_array_equal(np.concatenate(codes), expected)
        np.testing.assert_array_equal(np.concatenate(scales), np.float32(expected_scales))
        _, codes, scales = zip(*quantise(tensor, "nf4"))
        blocks = rows.reshape(-1, 64).tolist()
        expected, expected_scales = zip(*(nf4_block(block) for block in blocks))
        np.testing.assert_array_equal(np.concatenate(codes).reshape(-1, 64), expected)
        np.testing.assert_array_equal(np.concatenate(scales).ravel(), np.float32(expected_scales))

    def test_the_edges_and_more(self):
        rows = weights(np.random.default_rng(8), 256)
        self.check(Tensor("float32", rows), rows)

    def test_more_rows_than_are_done_at_a_time(self):
        rows = np.random.default_rng(9).normal(0, 1, (300, 1024)).astype(np.float32)
        self.assertGreater(len(list(quantise(Tensor("float32", rows), "int8"))), 1)
        self.check(Tensor("float32", rows), rows)

    def test_16_bits_count_as_what_they_stand_for(self):
        rows = weights(np.random.default_rng(10), 256)
        halves = np.delete(rows, 9, axis=0).astype(np.float16)
        self.check(Tensor("float16", halves), halves.astype(np.float32))
        upper = rows.view(np.uint32) >> 16
        wide = (upper << 16).view(np.float32)
        self.check(Tensor("bfloat16", upper.astype(np.uint16)), wide)

    def test_the_code(self):
        np.testing.assert_array_equal(CODE, np.float32(BITSANDBYTES))
        # QLoRA's quantiles of the normal distribution: 8 above 0 and 7 below, and 0.
        offset = 0.9677083
        above = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
        below = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
        values = np.sort(np.concatenate([above, [0], below]))
        np.testing.assert_allclose(CODE, values / values.max(), atol=1e-6)

    def test_what_is_not_finite_is_refused(self):
        for value in (np.inf, -np.inf, np.nan):
            rows = np.ones((2, 64), np.float32)
            rows[1, 5] = value
            for method in ("int8", "nf4"):
                with self.subTest(method, value=value), self.assertRaises(Failure) as caught:
                    list(quantise(Tensor("float32", rows), method))
                self.assertEqual(caught.exception.code, "bad_model")


class Models(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def refusal(self, path, method):
        with LlamaFile(str(path)) as file, self.assertRaises(Failure) as caught:
            check_quantisable(file, method)
        return caught.exception

    def make(self, *options):
        path = self.folder / "model"
        oracles.prony("model", "make", "--output", path, *options)
        return path

    def test_which_tensors(self):
        with LlamaFile(str(self.make("--untied"))) as file:
            check_quantisable(file, "nf4")
            names = {
                method: {n for n in file.entries if is_quantised(n, method)}
                for method in ("int8", "nf4", "float16")
            }
            matrices = {n for n, entry in file.entries.items() if len(entry.shape) == 2}
        self.assertEqual(names["int8"], matrices)
        self.assertEqual(names["float16"], matrices)
        outside = {"model.embed_tokens.weight", "lm_head.weight"}
        self.assertEqual(names["nf4"], matrices - outside)

    def test_what_has_no_definition_is_refused(self):
        refusal = self.refusal(oracles.REAL_MODEL, "int8")
        self.assertEqual(refusal.code, "unsupported")
        self.assertRegex(refusal.message, "quantised already.* is Q[48]_")
        self.assertIn("F16", refusal.hint)
        odd = self.make("--hidden", 96, "--heads", 6, "--kv-heads", 3)
        self.assertIn("blocks of 64", self.refusal(odd, "nf4").message)
        with LlamaFile(str(odd)) as file:
            check_quantisable(file, "int8")
        self.assertIn('no quantisation "int4"', self.refusal(odd, "int4").message)


if __name__ == "__main__":
    unittest.main()
