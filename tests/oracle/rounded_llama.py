"""A Llama model in PyTorch whose every operation is rounded as an engine of some precision would:
computed in float32, its output then rounded to that precision. For the equivalence gate's bounds
(derive_bounds.py) and its planted faults."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from quantised import q8_0_values
from quantised import values as quantised_values

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass
class Rounding:
    """Which implementation is imitated. Each is one that an honest engine may be."""

    precision: str = "float32"
    activations: bool = True  # the output of every operation is rounded
    weights: bool = True
    fused_attention: bool = False  # scores and shares stay float32
    parts: int = 1  # sums of products are rounded in so many parts, as split-K kernels do
    split_norm: bool = False  # RMSNorm is rounded before its weight is multiplied
    blocks: bool = False  # what products take is Q8_0, as ggml's products of Q8_0 have it

    def __post_init__(self):
        self.dtype = DTYPES.get(self.precision)

    def round(self, x):
        return x if self.dtype is None else x.to(self.dtype).to(x.dtype)

    def of(self, x):
        return self.round(x) if self.activations else x


@dataclass
class Fault:
    """What is computed wrongly on purpose; nothing by default."""

    eps_factor: float = 1.0
    rope_scaling: bool = True
    round_rope: bool = False  # to bfloat16, what model.to(bfloat16) does
    shift_cache: int = 0  # keys and values of so many tokens ago
    drop_layer: int = -1
    swap_qk: bool = False  # neighbours' pairs where halves belong
    weights: dict = field(default_factory=dict)


def scaled_frequencies(config):
    head = config["head_dim"]
    frequency = config["rope_theta"] ** (-torch.arange(0, head, 2, dtype=torch.float64) / head)
    scaling = config.get("rope_scaling")
    if not scaling:
        return frequency.float()
    original = scaling["original_max_position_embeddings"]
    low, high, factor = (scaling[key] for key in ("low_freq_factor", "high_freq_factor", "factor"))
    turns = original * frequency / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    return ((1 - smooth) * frequency / factor + smooth * frequency).float()


def quantised(model, precision, change=None):
    """The model with weights as docs/quantisation.md has them; change(name, weights) may spoil them."""
    weights = {
        name: torch.from_numpy(quantised_values(name, weight.numpy(), precision))
        for name, weight in model.weights.items()
    }
    if change:
        weights = {name: change(name, weight) for name, weight in weights.items()}
    return Llama(model.config, weights)


class Llama:
    """config as in config.json; weights by canonical names, float32."""

    def __init__(self, config, weights):
        self.config = dict(config)
        self.config.setdefault("head_dim", config["hidden_size"] // config["num_attention_heads"])
        self.weights = weights
        self.rounded = {}  # weights as a precision holds them: [name, precision]

    @staticmethod
    def read(folder):
        from safetensors.torch import load_file

        folder = Path(folder)
        weights = load_file(str(folder / "model.safetensors"))
        return Llama(
            json.loads((folder / "config.json").read_text()),
            {name: weight.float() for name, weight in weights.items()},
        )

    @staticmethod
    def random(seed, hidden, layers, heads, kv_heads, ffn, vocabulary, gain=1.0, **more):
        generator = torch.Generator().manual_seed(seed)
        head = hidden // heads

        def matrix(rows, columns):
            return torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))

        def vector():
            return 0.5 + torch.rand(hidden, generator=generator)

        weights = {
            "model.embed_tokens.weight": matrix(vocabulary, hidden)
            * math.sqrt(hidden)
            * 0.02
            / gain,
            "model.norm.weight": vector(),
            "lm_head.weight": matrix(vocabulary, hidden),
        }
        for i in range(layers):
            at = f"model.layers.{i}."
            weights |= {
                at + "input_layernorm.weight": vector(),
                at + "post_attention_layernorm.weight": vector(),
                at + "self_attn.q_proj.weight": matrix(heads * head, hidden),
                at + "self_attn.k_proj.weight": matrix(kv_heads * head, hidden),
                at + "self_attn.v_proj.weight": matrix(kv_heads * head, hidden),
                at + "self_attn.o_proj.weight": matrix(hidden, heads * head),
                at + "mlp.gate_proj.weight": matrix(ffn, hidden),
                at + "mlp.up_proj.weight": matrix(ffn, hidden),
                at + "mlp.down_proj.weight": matrix(hidden, ffn),
            }
        config = {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            **more,
        }
        return Llama(config, weights)

    def logits(self, ids, rounding=None, fault=None, dtype=torch.float32):
        """[ids, vocabulary], teacher-forced."""
        with torch.no_grad():
            return Pass(self, rounding or Rounding(), fault or Fault(), dtype).run(ids)


class Pass:
    def __init__(self, model, rounding, fault, dtype):
        self.model, self.r, self.fault, self.dtype = model, rounding, fault, dtype
        self.config = model.config

    def weight(self, name):
        weight = self.fault.weights.get(name)
        if weight is None:
            weight = self.model.weights.get(name)
        if weight is None:
            weight = self.model.weights["model.embed_tokens.weight"]  # tied
        weight = weight.to(self.dtype)
        if not self.r.weights or weight.dim() != 2 or self.r.dtype is None:
            return weight
        key = (name, self.r.precision)
        if self.fault.weights:
            return self.r.round(weight)
        if key not in self.model.rounded:
            self.model.rounded[key] = self.r.round(weight)
        return self.model.rounded[key]

    def product(self, name, x):
        weight = self.weight(name)
        parts = self.r.parts
        if self.r.blocks:
            x = torch.from_numpy(q8_0_values(x.float().numpy())).to(x.dtype)
        if parts == 1:
            return self.r.of(x @ weight.T)
        total = 0
        for a, b in zip(x.chunk(parts, -1), weight.chunk(parts, -1)):
            total = self.r.of(total + self.r.of(a @ b.T))
        return total

    def norm(self, name, x):
        eps = self.config["rms_norm_eps"] * self.fault.eps_factor
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
        if self.r.split_norm:
            y = self.r.of(y)
        return self.r.of(y * self.weight(name))

    def rotate(self, x):
        """x: [tokens, heads, head]"""
        if self.fault.rope_scaling:
            frequency = scaled_frequencies(self.config)
        else:
            frequency = scaled_frequencies({**self.config, "rope_scaling": None})
        if self.fault.round_rope:
            frequency = frequency.bfloat16().float()
        angle = torch.outer(torch.arange(x.shape[0], dtype=torch.float32), frequency)
        cos, sin = self.r.of(angle.cos().to(self.dtype)), self.r.of(angle.sin().to(self.dtype))
        cos, sin = cos[:, None], sin[:, None]
        half = x.shape[-1] // 2
        if self.fault.swap_qk:
            a, b = x[..., 0::2], x[..., 1::2]
            return self.r.of(torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2))
        a, b = x[..., :half], x[..., half:]
        return self.r.of(torch.cat((a * cos - b * sin, a * sin + b * cos), -1))

    def attention(self, at, x):
        c, tokens = self.config, x.shape[0]
        heads, kv_heads, head = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        q = self.rotate(self.product(at + "q_proj.weight", x).view(tokens, heads, head))
        k = self.rotate(self.product(at + "k_proj.weight", x).view(tokens, kv_heads, head))
        v = self.product(at + "v_proj.weight", x).view(tokens, kv_heads, head)
        if self.fault.shift_cache:
            k, v = k.roll(self.fault.shift_cache, 0), v.roll(self.fault.shift_cache, 0)
        k = k.repeat_interleave(heads // kv_heads, 1)
        v = v.repeat_interleave(heads // kv_heads, 1)
        of = (lambda y: y) if self.r.fused_attention else self.r.of
        scores = of(torch.einsum("qhd,khd->hqk", q, k))
        scores = of(scores / math.sqrt(head))
        mask = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        shares = of(torch.softmax(scores.masked_fill(mask, -math.inf), -1))
        mixed = self.r.of(torch.einsum("hqk,khd->qhd", shares, v).reshape(tokens, heads * head))
        return self.product(at + "o_proj.weight", mixed)

    def feed_forward(self, at, x):
        gate, up = self.product(at + "gate_proj.weight", x), self.product(at + "up_proj.weight", x)
        act = self.r.of(torch.nn.functional.silu(gate))
        return self.product(at + "down_proj.weight", self.r.of(act * up))

    def run(self, ids):
        x = self.weight("model.embed_tokens.weight")[torch.as_tensor(ids)]
        for i in range(self.config["num_hidden_layers"]):
            if i == self.fault.drop_layer:
                continue
            at = f"model.layers.{i}."
            x = self.r.of(
                x + self.attention(at + "self_attn.", self.norm(at + "input_layernorm.weight", x))
            )
            x = self.r.of(
                x
                + self.feed_forward(
                    at + "mlp.", self.norm(at + "post_attention_layernorm.weight", x)
                )
            )
        return self.product("lm_head.weight", self.norm("model.norm.weight", x))
