"""Model files that Prony writes, opened by the packages that other people open them with."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import gguf
import numpy as np
import oracles
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "Hello, world! It's 2024.",
    "Naïve café: 12345 stars ☆\n\n\ttabs  and   spaces ",
    "the statement that the translation <|eot_id|> is another",
]
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def safetensors_name(name):
    """The safetensors name of a tensor of a GGUF file."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("blk."):
        return OTHER_NAMES[stem] + ".weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"


def permute(matrix, heads):
    """Rows of q or k as GGUF has them, as llama.cpp's converter makes them from safetensors."""
    rows, columns = matrix.shape
    return (
        matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(matrix.shape)
    )


def read_gguf(path):
    """The tensors of a GGUF file as float32, and its fields."""
    reader = gguf.GGUFReader(path)
    tensors = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type)
        .astype(np.float32)
        .reshape(tensor.shape[::-1].tolist())
        for tensor in reader.tensors
    }
    return tensors, reader


def field(reader, key):
    return reader.fields[key].contents()


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def make(self, name, *options):
        oracles.prony("model", "make", "--output", self.folder / name, *options)
        return self.folder / name

    def convert(self, source, name, *options):
        oracles.prony("model", "convert", source, "--output", self.folder / name, *options)
        return self.folder / name

    def assert_same_model(self, gguf_path, safetensors_folder, precision):
        """Every tensor of one is the tensor of the other, narrowed to the precision."""
        ours, _ = read_gguf(gguf_path)
        ours.pop("rope_freqs.weight", None)
        theirs = load_file(safetensors_folder / "model.safetensors")
        config = json.loads((safetensors_folder / "config.json").read_text())
        self.assertEqual({safetensors_name(name) for name in ours}, set(theirs))
        heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
        for name, value in ours.items():
            tensor = theirs[safetensors_name(name)]
            self.assertEqual(tensor.dtype, precision, name)
            expected = tensor.float().numpy()
            for part, key in heads.items():
                if f".{part}." in name:
                    expected = permute(expected, config[key])
            narrowed = torch.from_numpy(value).to(precision).float().numpy()
            np.testing.assert_array_equal(narrowed, expected, err_msg=name)


class Synthetic(Folder):
    def test_both_formats_are_one_model(self):
        for precision in ("float32", "float16", "bfloat16"):
            for shape in (
                ["--heads", 4, "--kv-heads", 1, "--head-size", 24, "--tied"],
                ["--hidden", 96, "--heads", 6, "--kv-heads", 3, "--layers", 3, "--untied"],
            ):
                with self.subTest(precision=precision, shape=shape):
                    options = ["--precision", precision, "--seed", 5, *shape]
                    self.assert_same_model(
                        self.make("a.gguf", *options),
                        self.make("a", *options),
                        getattr(torch, precision),
                    )

    def test_values_are_like_those_of_a_model(self):
        tensors, _ = read_gguf(self.make("a.gguf", "--precision", "float32", "--hidden", 256))
        query, norm = tensors["blk.0.attn_q.weight"], tensors["blk.1.ffn_norm.weight"]
        self.assertAlmostEqual(query.std() * 256**0.5, 1, delta=0.02)
        self.assertAlmostEqual(query.mean() * 256**0.5, 0, delta=0.02)
        self.assertAlmostEqual(norm.mean(), 1, delta=0.02)
        self.assertGreater(norm.std(), 0.01)
        for name in ("blk.0.attn_k.weight", "blk.1.attn_q.weight"):
            rows = min(len(tensors[name]), len(query))
            correlation = np.corrcoef(tensors[name][:rows].ravel(), query[:rows].ravel())[0, 1]
            self.assertLess(abs(correlation), 0.05, name)

    def test_metadata(self):
        _, reader = read_gguf(
            self.make(
                "a.gguf",
                "--size",
                "1b",
                "--layers",
                1,
                "--hidden",
                64,
                "--heads",
                4,
                "--kv-heads",
                2,
                "--ffn",
                64,
            )
        )
        expected = {
            "general.architecture": "llama",
            "llama.block_count": 1,
            "llama.embedding_length": 64,
            "llama.context_length": 131072,
            "llama.vocab_size": 128256,
            "llama.rope.freq_base": 500000.0,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "llama-bpe",
            "tokenizer.ggml.bos_token_id": 128000,
            "tokenizer.ggml.eos_token_id": 128009,
        }
        for key, value in expected.items():
            self.assertEqual(field(reader, key), value, key)
        tokens = field(reader, "tokenizer.ggml.tokens")
        self.assertEqual(len(tokens), len(set(tokens)))
        self.assertEqual(tokens[128000], "<|begin_of_text|>")
        self.assertEqual(
            tokens[128006:128011],
            [
                "<|start_header_id|>",
                "<|end_header_id|>",
                "<|eom_id|>",
                "<|eot_id|>",
                "<|python_tag|>",
            ],
        )
        self.assertEqual(len(field(reader, "tokenizer.ggml.merges")), 128000 - 256)

    def test_rope_factors(self):
        """rope_freqs.weight divides the frequencies as transformers' llama3 scaling does."""
        from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

        options = ["--rope-scaling", "llama3", "--head-size", 64, "--context", 4096]
        tensors, _ = read_gguf(self.make("a.gguf", *options))
        config = AutoConfig.from_pretrained(self.make("a", *options))
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
        plain = config.rope_theta ** (-np.arange(0, 64, 2) / 64)
        factors = tensors["rope_freqs.weight"]
        self.assertEqual(factors.min(), 1)
        self.assertEqual(factors.max(), 8)
        np.testing.assert_allclose(plain / factors, scaled.numpy(), rtol=1e-5)

    def test_transformers_and_llama_cpp_compute_the_same(self):
        options = ["--rope-scaling", "llama3", "--precision", "float32", "--vocabulary", 1200]
        path = self.make("a.gguf", *options)
        folder = self.make("a", *options)
        model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = tokenizer("The model is synthetic. " * 8).input_ids
        self.assertEqual(ids[0], tokenizer.bos_token_id)
        # llama.cpp bans the ends of a text when told to go on behind them.
        ends = [
            tokenizer.convert_tokens_to_ids(token)
            for token in ("<|end_of_text|>", "<|eot_id|>", "<|eom_id|>")
        ]
        compared = 0
        for step, (token, margin) in enumerate(oracles.LlamaCpp(path).greedy(ids, 24)):
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            self.assertTrue(0.3 < logits.std() < 3)
            logits[ends] = -torch.inf
            if margin < 0.02:
                break
            self.assertEqual(int(logits.argmax()), token, f"step {step}")
            ids.append(token)
            compared += 1
        self.assertGreater(compared, 0)

    def test_tokenizers_encodes_as_prony_does(self):
        for vocabulary in (288, 1024, 128256):
            options = ["--hidden", 16, "--heads", 1, "--kv-heads", 1, "--vocabulary", vocabulary]
            path = self.make("a.gguf", *options)
            tokenizer = Tokenizer.from_file(str(self.make("a", *options) / "tokenizer.json"))
            self.assertEqual(tokenizer.get_vocab_size(), vocabulary)
            for text in TEXTS:
                with self.subTest(vocabulary=vocabulary, text=text):
                    output = oracles.prony(
                        "model", "tokenize", path, "--text", text, "--json", "--special", "--bos"
                    )
                    ids = tokenizer.encode(text).ids
                    self.assertEqual(json.loads(output)["ids"], ids)
                    self.assertEqual(tokenizer.decode(ids[1:], skip_special_tokens=False), text)


class Converted(Folder):
    @classmethod
    def setUpClass(cls):
        cls.real, cls.real_reader = read_gguf(oracles.REAL_MODEL)

    def test_gguf_to_gguf(self):
        for precision, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
            tensors, reader = read_gguf(
                self.convert(oracles.REAL_MODEL, "a.gguf", "--precision", precision)
            )
            self.assertEqual(set(tensors), set(self.real))
            for name, value in self.real.items():
                if value.ndim == 2:
                    value = torch.from_numpy(value).to(dtype).float().numpy()
                np.testing.assert_array_equal(tensors[name], value, err_msg=name)
            for key in self.real_reader.fields:
                if not key.startswith(("GGUF.", "general.file_type", "general.quantization")):
                    self.assertEqual(field(reader, key), field(self.real_reader, key), key)

    def test_gguf_to_safetensors_and_back(self):
        folder = self.convert(oracles.REAL_MODEL, "a", "--precision", "float32")
        self.assert_same_model(oracles.REAL_MODEL, folder, torch.float32)
        tensors, reader = read_gguf(self.convert(folder, "b.gguf"))
        for name, value in self.real.items():
            np.testing.assert_array_equal(tensors[name], value, err_msg=name)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        for text in TEXTS:
            output = oracles.prony(
                "model", "tokenize", oracles.REAL_MODEL, "--text", text, "--json", "--special"
            )
            self.assertEqual(json.loads(output)["ids"], tokenizer.encode(text).ids)
        for key in (
            "tokens",
            "merges",
            "token_type",
            "bos_token_id",
            "eos_token_id",
            "pre",
            "add_bos_token",
        ):
            key = "tokenizer.ggml." + key
            self.assertEqual(field(reader, key), field(self.real_reader, key), key)
        self.assertEqual(
            field(reader, "tokenizer.chat_template"),
            field(self.real_reader, "tokenizer.chat_template"),
        )

    def test_parts_by_the_gguf_package_are_the_whole(self):
        whole = self.convert(oracles.REAL_MODEL, "whole")
        for i, limits in enumerate(
            (
                {"split_max_tensors": 50},
                {"split_max_tensors": 100, "small_first_shard": True},
                {"split_max_size": 30_000_000},
            )
        ):
            folder = self.folder / f"parts{i}"
            folder.mkdir()
            parts = oracles.gguf_parts(oracles.REAL_MODEL, folder, **limits)
            self.assertGreater(len(parts), 2)
            for given, name in ((folder, f"a{i}"), (parts[-1], f"b{i}")):
                copy = self.convert(given, name)
                for file in ("model.safetensors", "config.json", "tokenizer.json"):
                    with self.subTest(limits=limits, file=file):
                        self.assertEqual((copy / file).read_bytes(), (whole / file).read_bytes())

    def test_transformers_runs_the_real_model(self):
        folder = self.convert(oracles.REAL_MODEL, "a", "--precision", "float32")
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        encoded = tokenizer("The capital of France is", return_tensors="pt")
        with torch.no_grad():
            logits = model(**encoded).logits[0, -1]
        self.assertEqual(tokenizer.decode(logits.argmax()), " Paris")

    def test_rope_scaling_comes_along(self):
        options = ["--rope-scaling", "llama3", "--head-size", 64, "--context", 16384]
        for precision in ("float32", "bfloat16"):
            options += ["--precision", precision]
            path, folder = self.make("a.gguf", *options), self.make("a", *options)
            from_gguf, from_folder = self.convert(path, "b"), self.convert(folder, "b.gguf")
            for name in ("config.json", "model.safetensors", "tokenizer.json"):
                self.assertEqual((from_gguf / name).read_bytes(), (folder / name).read_bytes())
            expected, _ = read_gguf(path)
            found, _ = read_gguf(from_folder)
            self.assertEqual(list(found), list(expected))
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value, err_msg=name)

    def test_safetensors_to_safetensors_keeps_the_rest(self):
        source = self.make("a", "--precision", "float32")
        config = json.loads((source / "config.json").read_text())
        config["something_of_its_own"] = [1, 2]
        (source / "config.json").write_text(json.dumps(config))
        (source / "generation_config.json").write_text('{"eos_token_id": 3}')
        made = self.convert(source, "b", "--precision", "bfloat16")
        config["torch_dtype"] = "bfloat16"
        self.assertEqual(json.loads((made / "config.json").read_text()), config)
        for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
            self.assertEqual((made / name).read_bytes(), (source / name).read_bytes())
        expected = load_file(source / "model.safetensors")
        for name, value in load_file(made / "model.safetensors").items():
            self.assertTrue(torch.equal(value, expected[name].to(torch.bfloat16)), name)

    def test_value_too_large_for_float16(self):
        source = self.make("a", "--precision", "float32")
        path = source / "model.safetensors"
        from safetensors.torch import save_file

        tensors = load_file(path)
        tensors["model.layers.1.self_attn.k_proj.weight"][3, 1] = -70000.0
        save_file(tensors, path, metadata={"format": "pt"})
        command = [oracles.PRONY, "model", "convert", source, "--precision", "float16"]
        for output in ("b", "b.gguf"):
            result = subprocess.run(
                [*command, "--output", self.folder / output],
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, r"too large for float16 .*(k_proj|attn_k).*--precision")
        self.assertFalse((self.folder / "b.gguf").exists())
        self.assertFalse((self.folder / "b").exists())
        self.convert(source, "c", "--precision", "bfloat16")


if __name__ == "__main__":
    unittest.main()
