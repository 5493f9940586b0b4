"""The native engine's logits against transformers' LlamaForCausalLM in float32, and its greedy
ids against llama.cpp's."""

import tempfile
import unittest
from pathlib import Path

import gguf
import numpy
import torch
import transformers
from oracles import REAL_MODEL, LlamaCpp, prony, tool

POSITIONS = 64
# Largest absolute error, as a share of the range of the logits.
BOUND = 1e-4
# With 16-bit keys and values: their rounding is 2^-11 of each.
CACHE_F16_BOUND = 1e-3

LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

CONFIGS = {
    "gqa1_head64": dict(hidden_size=256, num_attention_heads=4, num_key_value_heads=4),
    "gqa2_head128": dict(hidden_size=512, num_attention_heads=4, num_key_value_heads=2),
    "gqa3_width576_tied": dict(
        hidden_size=576, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True
    ),
    "gqa4_llama3_tied": dict(
        hidden_size=512,
        num_attention_heads=8,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_theta=500000.0,
        rope_scaling=LLAMA3_SCALING,
    ),
    "gqa8_head64_llama3": dict(
        hidden_size=512, num_attention_heads=8, num_key_value_heads=1, rope_scaling=LLAMA3_SCALING
    ),
    "head80_linear": dict(
        hidden_size=320,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_scaling={"rope_type": "linear", "factor": 4.0},
    ),
    "odd_ffn_and_vocabulary": dict(
        hidden_size=192,
        num_attention_heads=3,
        num_key_value_heads=1,
        intermediate_size=333,
        vocab_size=1003,
    ),
}


def random_model(seed, options):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **{
            "vocab_size": 1000,
            "intermediate_size": 768,
            "num_hidden_layers": 3,
            "max_position_embeddings": 128,
            "rms_norm_eps": 1e-5,
            "initializer_range": 0.1,
            "torch_dtype": "float32",
            **options,
        }
    )
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return model


def reference_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def native_logits(folder, path, ids, precision="f32", kernels="best", threads=2, step=0):
    out = Path(folder) / "logits"
    tool("llama_run", "logits", path, precision, kernels, threads, step, out, *ids)
    return numpy.fromfile(out, dtype=numpy.float32).reshape(len(ids), -1)


def available_kernels():
    """The tables this processor can run, found as the program itself reports them."""
    flags = Path("/proc/cpuinfo").read_text()
    names = ["c"]
    if all(flag in flags for flag in (" avx2", " fma", " f16c")):
        names.append("avx2")
    if all(" avx512" + flag in flags for flag in ("f", "bw", "vl", "dq")):
        names.append("avx512")
    if "asimd" in flags:
        names.append("neon")
    return names


def relative_error(ours, reference):
    return float(numpy.abs(ours - reference).max() / numpy.ptp(reference))


def unpermuted(rows, heads):
    """GGUF's rows of q and k, for neighbours' rotation, in the order for halves' rotation."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, size // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def transformers_from_gguf(path):
    """transformers' model with the weights of a GGUF file, dequantised by gguf's own code."""
    reader = gguf.GGUFReader(path)

    def field(name):
        value = reader.fields["llama." + name]
        return value.parts[value.data[0]][0].item()

    tensors = {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        for tensor in reader.tensors
    }
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    config = transformers.LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_theta=field("rope.freq_base"),
        tie_word_embeddings="output.weight" not in tensors,
    )
    names = {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }
    state = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
        "lm_head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
    }
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            weight = tensors[f"blk.{layer}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                weight = unpermuted(weight, heads if ours == "attn_q" else kv_heads)
            state[f"model.layers.{layer}.{theirs}.weight"] = weight
    model = transformers.LlamaForCausalLM(config).eval()
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return model


class RandomModels(unittest.TestCase):
    """Weights written by transformers itself, read by Prony."""

    def check(self, seed, options):
        ids = numpy.random.default_rng(seed).integers(0, 1000, POSITIONS).tolist()
        with tempfile.TemporaryDirectory() as folder:
            model = random_model(seed, options)
            path = Path(folder) / "model"
            model.save_pretrained(path, safe_serialization=True)
            reference = reference_logits(model, ids)
            for kernels in available_kernels():
                with self.subTest(kernels=kernels):
                    ours = native_logits(folder, path, ids, kernels=kernels)
                    error = relative_error(ours, reference)
                    print(f"{self.id()} {kernels}: {error:.1e} of the range")
                    self.assertLess(error, BOUND)
                    # One id at a time, and with one thread: the same bits.
                    for step, threads in ((1, 2), (7, 1), (0, 3)):
                        again = native_logits(
                            folder, path, ids, kernels=kernels, step=step, threads=threads
                        )
                        self.assertEqual(again.tobytes(), ours.tobytes(), (step, threads))


for number, (config_name, config_options) in enumerate(CONFIGS.items()):

    def check_config(self, number=number, options=config_options):
        self.check(number, options)

    setattr(RandomModels, "test_" + config_name, check_config)


class RealModel(unittest.TestCase):
    """SmolLM2: trained weights, GGUF's permuted rows, quantised blocks."""

    @classmethod
    def setUpClass(cls):
        text = (
            "Prony put a rope around the wheel of an engine and hung a weight from it: what the "
            "rope holds back is what the engine can do, and nobody needs to trust its maker for it."
        )
        cls.ids = [
            int(line) for line in prony("model", "tokenize", REAL_MODEL, "--text", text).split()
        ]
        cls.ids = (cls.ids * 4)[:POSITIONS]
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_float32_agrees_with_transformers(self):
        reference = reference_logits(transformers_from_gguf(REAL_MODEL), self.ids)
        for kernels in available_kernels():
            with self.subTest(kernels=kernels):
                ours = native_logits(self.folder, REAL_MODEL, self.ids, kernels=kernels)
                error = relative_error(ours, reference)
                print(f"{self.id()} {kernels}: {error:.1e} of the range")
                self.assertLess(error, BOUND)

    def test_float16_agrees_with_transformers_on_its_weights(self):
        path = self.folder / "f16.gguf"
        prony("model", "convert", REAL_MODEL, "--precision", "float16", "--output", path)
        reference = reference_logits(transformers_from_gguf(path), self.ids)
        for kernels in available_kernels():
            with self.subTest(kernels=kernels):
                ours = native_logits(self.folder, path, self.ids, "f16", kernels)
                error = relative_error(ours, reference)
                print(f"{self.id()} {kernels}: {error:.1e} of the range")
                self.assertLess(error, CACHE_F16_BOUND)

    def test_greedy_ids_equal_llama_cpp(self):
        path = self.folder / "greedy.gguf"
        prony("model", "convert", REAL_MODEL, "--precision", "float16", "--output", path)
        prompt, count = self.ids[:32], 64
        theirs = [token for token, _ in LlamaCpp(path).greedy(prompt, count)]
        output = tool("llama_run", "greedy", path, "f16", "best", 2, count, *prompt)
        ours = [int(line) for line in output.split()]
        self.assertEqual(len(theirs), count)
        same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b), count)
        print(f"{self.id()}: {same} of {count} ids equal")
        if same == count:
            return
        logits = native_logits(self.folder, path, prompt + ours[:same], "f16")[-1]
        second, best = numpy.sort(logits)[-2:]
        # Each engine may be off by the bound, in opposite directions.
        self.assertLess(best - second, 2 * CACHE_F16_BOUND * numpy.ptp(logits), f"position {same}")


if __name__ == "__main__":
    unittest.main()
