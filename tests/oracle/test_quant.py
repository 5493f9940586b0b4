"""The dequantisers of src/model/quant against the gguf package's, bit for bit."""

import tempfile
import unittest
from pathlib import Path

import gguf
import numpy as np
import oracles

# Where a block's float16 scales are, as indices of 16-bit words.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 1],
    "Q5_0": [0],
    "Q5_1": [0, 1],
    "Q8_0": [0],
    "Q4_K": [0, 1],
    "Q5_K": [0, 1],
    "Q6_K": [104],
}
ROWS = 64


def random_scales(generator, count):
    """Ordinary ones of both signs, and every so often zero, a subnormal or the largest."""
    scales = generator.normal(0, 0.05, count).astype(np.float16)
    special = np.array([0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x7BFF, 0xFBFF], np.uint16)
    chosen = generator.random(count) < 0.2
    scales[chosen] = generator.choice(special, chosen.sum()).view(np.float16)
    return scales


def random_rows(name, generator):
    """[ROWS, bytes of two blocks], every bit pattern of the integers, finite scales."""
    _, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = generator.integers(0, 256, (ROWS * 2, block_bytes), np.uint8)
    words = blocks.view(np.uint16)
    for word in SCALES[name]:
        words[:, word] = random_scales(generator, ROWS * 2).view(np.uint16)
    return blocks.reshape(ROWS, 2 * block_bytes)


class Quant(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = Path(cls.folder.name) / "blocks.gguf"
        generator = np.random.default_rng(3)
        cls.rows = {name: random_rows(name, generator) for name in SCALES}
        # Every 16-bit pattern.
        cls.halves = np.arange(65536, dtype=np.uint16)
        writer = gguf.GGUFWriter(cls.path, "llama")
        for name, rows in cls.rows.items():
            writer.add_tensor(name, rows, raw_dtype=gguf.GGMLQuantizationType[name])
        writer.add_tensor("F16", cls.halves.view(np.float16))
        writer.add_tensor(
            "BF16", cls.halves.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16
        )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def dumped(self, name):
        return np.frombuffer(oracles.tool("dump_tensor", self.path, name), np.float32)

    def assert_same(self, ours, theirs):
        """Bit for bit, but for the payload of a NaN."""
        theirs = np.ascontiguousarray(theirs, np.float32).ravel()
        self.assertEqual(ours.size, theirs.size)
        both_nan = np.isnan(ours) & np.isnan(theirs)
        differs = (ours.view(np.uint32) != theirs.view(np.uint32)) & ~both_nan
        self.assertEqual(differs.sum(), 0, f"first at {np.flatnonzero(differs)[:5]}")

    def test_blocks(self):
        for name, rows in self.rows.items():
            with self.subTest(name):
                kind = gguf.GGMLQuantizationType[name]
                self.assert_same(self.dumped(name), gguf.quants.dequantize(rows, kind))

    def test_halves(self):
        self.assert_same(self.dumped("F16"), self.halves.view(np.float16).astype(np.float32))

    def test_bfloats(self):
        wide = (self.halves.astype(np.uint32) << 16).view(np.float32)
        self.assert_same(self.dumped("BF16"), wide)

    def test_real_model(self):
        """Every seventh tensor of the trained model, and its embedding: Q4_1, F32 and Q8_0."""
        reader = gguf.GGUFReader(oracles.REAL_MODEL)
        embedding = [tensor for tensor in reader.tensors if tensor.name == "token_embd.weight"]
        self.assertEqual(len(embedding), 1)
        for tensor in reader.tensors[::7] + embedding:
            with self.subTest(tensor.name):
                ours = np.frombuffer(
                    oracles.tool("dump_tensor", oracles.REAL_MODEL, tensor.name), np.float32
                )
                self.assert_same(ours, gguf.quants.dequantize(tensor.data, tensor.tensor_type))


if __name__ == "__main__":
    unittest.main()
