"""prony_model, the reader of the engines in Python, against gguf, safetensors and transformers."""

import json
import os
import random
import sys
import tempfile
import unittest
from pathlib import Path

import gguf
import numpy as np
import oracles
import torch
import transformers
from safetensors.torch import load_file
from test_quant import SCALES, random_rows
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

sys.path.insert(0, os.environ["PRONY_SOURCE"] + "/engines/sdk")
from prony_model import LlamaFile  # noqa: E402
from prony_model.blocks import dequantise  # noqa: E402
from prony_model.gguf import gguf_name  # noqa: E402
from prony_worker import Failure  # noqa: E402

DAMAGES = 400


def as_torch(tensor):
    if tensor.dtype == "bfloat16":  # uint16, which not every torch takes
        return torch.from_numpy(np.ascontiguousarray(tensor.array).view(np.int16)).view(
            torch.bfloat16
        )
    return torch.from_numpy(np.ascontiguousarray(tensor.array))


def read(path):
    """The configuration, and all tensors as torch has them, copied."""
    with LlamaFile(str(path)) as file:
        return file.config, {name: as_torch(tensor).clone() for name, tensor in file.tensors()}


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def make(self, name, *options):
        oracles.prony("model", "make", "--output", self.folder / name, *options)
        return self.folder / name

    def assert_same(self, ours, theirs):
        self.assertEqual(ours.keys(), theirs.keys())
        for name, tensor in theirs.items():
            self.assertEqual(ours[name].dtype, tensor.dtype, name)
            self.assertTrue(torch.equal(ours[name], tensor), name)


class Blocks(unittest.TestCase):
    def test_every_format_bit_for_bit(self):
        generator = np.random.default_rng(4)
        with np.errstate(over="ignore"):  # the largest scales, in both
            for name in SCALES:
                rows = random_rows(name, generator)
                theirs = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType[name])
                ours = dequantise(name, rows.ravel()).reshape(theirs.shape)
                with self.subTest(name):
                    np.testing.assert_array_equal(ours, theirs.astype(np.float32))


class Gguf(Folder):
    def test_real_model(self):
        config, ours = read(oracles.REAL_MODEL)
        reader = gguf.GGUFReader(oracles.REAL_MODEL)
        for tensor in reader.tensors:
            value = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            name = gguf_name(tensor.name)
            if name.endswith(("q_proj.weight", "k_proj.weight")):  # the heads of 64 rows
                value = value.reshape(-1, 32, 2, 576).swapaxes(1, 2).reshape(value.shape)
            np.testing.assert_array_equal(ours.pop(name).numpy(), value, err_msg=name)
        self.assertEqual(ours, {})
        self.assertEqual((config.layers, config.heads, config.kv_heads), (30, 9, 3))
        self.assertTrue(config.tied)

    def test_both_formats_are_one_model(self):
        for precision in ("float32", "float16", "bfloat16"):
            for shape in (
                ["--heads", 4, "--kv-heads", 1, "--head-size", 24, "--tied"],
                ["--hidden", 96, "--heads", 6, "--kv-heads", 3, "--layers", 3, "--untied"],
            ):
                options = ["--precision", precision, "--rope-scaling", "llama3", *shape]
                with self.subTest(precision=precision, shape=shape):
                    from_gguf, ours = read(self.make("a.gguf", *options))
                    folder = self.make("a", *options)
                    from_folder, theirs = read(folder)
                    self.assert_same(theirs, load_file(folder / "model.safetensors"))
                    # GGUF's norms are float32, whatever the rest.
                    dtype = getattr(torch, precision)
                    self.assert_same({n: t.to(dtype) for n, t in ours.items()}, theirs)
                    frequencies = from_gguf.rope_frequencies, from_folder.rope_frequencies
                    np.testing.assert_allclose(*frequencies, rtol=1e-6)
                    from_gguf.rope_frequencies = from_folder.rope_frequencies = None
                    self.assertAlmostEqual(from_gguf.norm_eps, from_folder.norm_eps)
                    from_gguf.norm_eps = from_folder.norm_eps
                    self.assertEqual(from_gguf, from_folder)


class Parts(Folder):
    def cut(self, model, name, **limits):
        folder = self.folder / name
        folder.mkdir()
        return oracles.gguf_parts(model, folder, **limits)

    def assert_same_model(self, one, other):
        (config, ours), (its_config, theirs) = read(one), read(other)
        self.assert_same(ours, theirs)
        for shape in (config, its_config):
            shape.rope_frequencies = shape.rope_frequencies.tolist()
        self.assertEqual(config, its_config)

    def test_they_are_the_whole(self):
        whole = self.make("a.gguf", "--rope-scaling", "llama3")
        for i, limits in enumerate(
            (
                {"split_max_tensors": 4},
                {"split_max_tensors": 4, "small_first_shard": True},
                {"split_max_size": 100_000},
            )
        ):
            with self.subTest(limits):
                parts = self.cut(whole, str(i), **limits)
                self.assertGreater(len(parts), 2)
                self.assert_same_model(parts[0], whole)

    def test_the_real_model_in_blocks(self):
        parts = self.cut(oracles.REAL_MODEL, "real", split_max_size=30_000_000)
        self.assertGreater(len(parts), 2)
        self.assert_same_model(parts[0], oracles.REAL_MODEL)

    def test_what_is_wrong_is_named(self):
        first, second, third, *_ = self.cut(self.make("a.gguf"), "bad", split_max_tensors=4)
        good = second.read_bytes()
        for wrong, what in ((third, "not part 2"), (first, "not part 2")):
            second.write_bytes(wrong.read_bytes())
            with self.assertRaises(Failure) as caught:
                read(first)
            self.assertIn(what, caught.exception.message)
            self.assertIn(second.name, caught.exception.message)
        second.write_bytes(good[: len(good) // 2])
        with self.assertRaises(Failure):
            read(first)
        second.unlink()
        with self.assertRaises(Failure) as caught:
            read(first)
        self.assertEqual(caught.exception.code, "not_found")
        self.assertIn(second.name, caught.exception.message)
        with self.assertRaises(Failure) as caught:
            read(third)
        self.assertIn("not the first", caught.exception.message)
        first.rename(first.with_name("first.gguf"))
        with self.assertRaises(Failure) as caught:
            read(first.with_name("first.gguf"))
        self.assertIn("name", caught.exception.message)


class Safetensors(Folder):
    def test_index_and_rope_of_both_generations(self):
        llama3 = {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
        for scaling in (None, {"rope_type": "linear", "factor": 4.0}, llama3):
            options = transformers.LlamaConfig(
                vocab_size=300,
                hidden_size=64,
                intermediate_size=96,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                rope_theta=500000.0,
                rope_scaling=scaling,
            )
            model = transformers.LlamaForCausalLM(options)
            folder = self.folder / "sharded"
            model.save_pretrained(folder, max_shard_size="100KB", safe_serialization=True)
            self.assertTrue((folder / "model.safetensors.index.json").exists())
            kind = scaling["rope_type"] if scaling else "default"
            expected, _ = ROPE_INIT_FUNCTIONS[kind](options, "cpu")
            with self.subTest(kind):
                config, ours = read(folder)
                self.assert_same(ours, dict(model.state_dict()))
                np.testing.assert_allclose(config.rope_frequencies, expected, rtol=1e-6)
                # transformers 5 writes the same so:
                values = json.loads((folder / "config.json").read_text())
                rope = values.pop("rope_scaling") or {"rope_type": "default"}
                values["rope_parameters"] = {**rope, "rope_theta": values.pop("rope_theta")}
                (folder / "config.json").write_text(json.dumps(values))
                again, _ = read(folder)
                np.testing.assert_array_equal(again.rope_frequencies, config.rope_frequencies)

    def test_a_single_file_and_its_index(self):
        folder = self.make("a")
        _, ours = read(folder / "model.safetensors")
        self.assert_same(ours, load_file(folder / "model.safetensors"))


class Refused(Folder):
    def refusal(self, path):
        with self.assertRaises(Failure) as caught:
            read(path)
        return caught.exception

    def test_what_is_missing_is_named(self):
        self.assertEqual(self.refusal(self.folder / "none").code, "not_found")
        folder = self.make("a")
        (folder / "config.json").unlink()
        self.assertIn("config.json", self.refusal(folder).message)
        (self.folder / "empty.gguf").touch()
        self.assertEqual(self.refusal(self.folder / "empty.gguf").code, "bad_model")

    def test_unknown_types_ask_for_conversion(self):
        path = self.folder / "new.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        blocks = np.zeros((1, 136), np.uint8)
        writer.add_tensor("token_embd.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.IQ4_XS)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        self.assertIn("prony model convert", self.refusal(path).hint)

    def test_damage_is_an_error_and_no_crash(self):
        shape = ["--hidden", 32, "--heads", 2, "--kv-heads", 1, "--layers", 1, "--vocabulary", 288]
        chance = random.Random(5)
        for source in (
            self.make("a.gguf", *shape),
            self.make("a", *shape) / "model.safetensors",
        ):
            good = source.read_bytes()
            for _ in range(DAMAGES):
                data = bytearray(good[: chance.choice([len(good), chance.randrange(len(good))])])
                for _ in range(chance.randrange(1, 4)):
                    if data:
                        at = chance.randrange(min(len(data), 12000))
                        data[at] = chance.randrange(256)
                source.write_bytes(data)
                try:
                    read(source)
                except Failure as failure:
                    self.assertTrue(failure.message)


if __name__ == "__main__":
    unittest.main()
