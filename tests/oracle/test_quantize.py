"""Quantising on load against NumPy, bit for bit, and the int8 and nf4 models against PyTorch."""

import os
import subprocess
import unittest
from pathlib import Path

import gguf
import numpy as np
import quantised


def native(precision, weights):
    """codes [rows, columns] and scales [rows, scales of a row], as the native engine makes them."""
    rows, columns = weights.shape
    tool = Path(os.environ["PRONY_BUILD"]) / "tests/tools/quantize"
    done = subprocess.run(
        [tool, precision, str(columns)],
        input=np.ascontiguousarray(weights, np.float32).tobytes(), capture_output=True, check=True,
    )  # fmt: skip
    found = np.frombuffer(done.stdout, np.uint8).reshape(rows, -1)
    return found[:, :columns], found[:, columns:].copy().view(np.float32)


class Quantize(unittest.TestCase):
    def check(self, weights):
        for precision, reference in (("int8", quantised.int8), ("nf4", quantised.nf4)):
            codes, scales = native(precision, weights)
            expected_codes, expected_scales = reference(weights)
            np.testing.assert_array_equal(codes, expected_codes.view(np.uint8), precision)
            np.testing.assert_array_equal(
                scales.view(np.uint32),
                expected_scales.reshape(scales.shape).view(np.uint32),
                precision,
            )

    def check_q8_0(self, weights):
        tool = Path(os.environ["PRONY_BUILD"]) / "tests/tools/quantize"
        command = [tool, "q8_0", str(weights.shape[1])]
        given = np.ascontiguousarray(weights, np.float32)
        done = subprocess.run(command, input=given.tobytes(), capture_output=True, check=True)
        kind = gguf.GGMLQuantizationType.Q8_0
        expected = gguf.quants.dequantize(gguf.quants.quantize(given, kind), kind)
        found = np.frombuffer(done.stdout, np.float32).reshape(weights.shape)
        np.testing.assert_array_equal(found, expected)

    def test_q8_0(self):
        generator = np.random.default_rng(2)
        for columns in (32, 576):
            weights = generator.normal(0, 0.02, (200, columns)).astype(np.float32)
            weights[0] = 0
            weights[1, 5] = 3
            weights[2] *= np.float32(1e-6)  # float16 has no such scale
            weights[3] = np.arange(columns) % 255 - np.float32(127)  # ties
            weights[3] /= 2
            self.check_q8_0(weights)
            self.check_q8_0(weights.astype(np.float16).astype(np.float32))

    def test_random(self):
        generator = np.random.default_rng(1)
        for columns in (64, 128, 576):
            weights = generator.normal(0, 0.02, (200, columns)).astype(np.float32)
            weights[0] = 0
            weights[1, 64:] = 0
            weights[2] *= np.float32(1e-37)  # scales below the smallest normal number
            weights[3, 5] = 3e38
            weights[4] = generator.choice(quantised.NF4, columns)
            weights[5] = generator.choice(quantised.MIDPOINTS, columns)
            weights[5, ::64] = 1
            weights[6] = np.arange(columns) - np.float32(columns / 2)
            self.check(weights)
            self.check(np.clip(weights, -6e4, 6e4).astype(np.float16).astype(np.float32))

    def test_the_real_model(self):
        reader = gguf.GGUFReader(os.environ["PRONY_REAL_MODEL"])
        for tensor in reader.tensors:
            if tensor.name.startswith(("blk.7.", "token_embd")) and len(tensor.shape) == 2:
                weights = gguf.dequantize(tensor.data, tensor.tensor_type)
                self.check(weights.astype(np.float32)[:1000])
                self.check_q8_0(weights.astype(np.float32)[:1000])


if __name__ == "__main__":
    unittest.main()
