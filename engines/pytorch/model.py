"""A Llama model in plain PyTorch, for one sequence, in the manner of gpt-fast.

Keys and values lie in a cache of fixed size, and so do the newest id and its position: the step of one
token has fixed shapes and no arguments. It can be compiled once and, on CUDA, recorded as one graph,
argmax included. What leaves the device is model.id.
"""

import torch
import torch.nn.functional as F
from packed import pack
from torch import nn


def rotate(x, rope):
    """Rope by halves, in float32. x: [heads, tokens, head_size]; rope: cos, sin [tokens, half]."""
    cos, sin = rope
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).type_as(x)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        self.rows = [n * config.head_size for n in (config.heads, config.kv_heads, config.kv_heads)]
        self.wqkv = nn.Linear(config.hidden_size, sum(self.rows), bias=False)
        self.wo = nn.Linear(self.rows[0], config.hidden_size, bias=False)

    def make_cache(self, context, like):
        cache = like.new_zeros(2, self.kv_heads, context, self.head_size)
        self.register_buffer("keys", cache[0])
        self.register_buffer("values", cache[1])

    def forward(self, x, positions, rope, mask):
        q, k, v = (
            part.view(len(x), -1, self.head_size).transpose(0, 1)
            for part in self.wqkv(x).split(self.rows, dim=-1)
        )
        q, k = rotate(q, rope), rotate(k, rope)
        self.keys.index_copy_(1, positions, k)
        self.values.index_copy_(1, positions, v)
        if mask is not None:  # one token, which looks at the whole cache
            k, v = self.keys, self.values
        y = F.scaled_dot_product_attention(
            q[None], k[None], v[None], attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        return self.wo(y[0].transpose(0, 1).flatten(1))


class FeedForward(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.ffn_size, bias=False)
        self.up = nn.Linear(config.hidden_size, config.ffn_size, bias=False)
        self.down = nn.Linear(config.ffn_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn = FeedForward(config)

    def forward(self, x, positions, rope, mask):
        x = x + self.attention(self.attention_norm(x), positions, rope, mask)
        return x + self.ffn(self.ffn_norm(x))


class Embedding(nn.Embedding):
    def reset_parameters(self):
        """Values come from the file. To draw them, on meta, would import torch._dynamo and sympy."""

    def multiply(self, x):
        """Where it is the output matrix as well."""
        return F.linear(x, self.weight)


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embedding = Embedding(config.vocabulary, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.output = None  # tied: the embedding serves
        if not config.tied:
            self.output = nn.Linear(config.hidden_size, config.vocabulary, bias=False)

    @classmethod
    def empty(cls, config, context, dtype, device, quantize):
        """A model on the device without values, to be filled through its slots()."""
        with torch.device("meta"):
            model = cls(config).to(dtype).requires_grad_(False).eval()
            if quantize:
                pack(model, quantize)
        # As to_empty, whose empty_like of a tensor on meta imports sympy.
        model._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=device))
        for layer in model.layers:
            layer.attention.make_cache(context, like=model.norm.weight)
        # Made after `to`, which would round them to the weights' precision: angles stay float32.
        frequencies = torch.tensor(config.rope_frequencies)
        angles = torch.arange(context, dtype=torch.float32)[:, None] * frequencies
        model.register_buffer("cos", angles.cos().to(device))
        model.register_buffer("sin", angles.sin().to(device))
        model.register_buffer("places", torch.arange(context, device=device))
        model.register_buffer("id", torch.zeros(1, dtype=torch.int64, device=device))
        model.register_buffer("position", torch.zeros(1, dtype=torch.int64, device=device))
        return model

    def slots(self):
        """{name as transformers has it: (the module that holds it, the first of its rows there)}"""
        found = {"model.embed_tokens": (self.embedding, 0), "model.norm": (self.norm, 0)}
        if self.output is not None:
            found["lm_head"] = self.output, 0
        for i, layer in enumerate(self.layers):
            attention, ffn = layer.attention, layer.ffn
            q, k, _ = attention.rows
            parts = {
                "input_layernorm": (layer.attention_norm, 0),
                "self_attn.q_proj": (attention.wqkv, 0),
                "self_attn.k_proj": (attention.wqkv, q),
                "self_attn.v_proj": (attention.wqkv, q + k),
                "self_attn.o_proj": (attention.wo, 0),
                "post_attention_layernorm": (layer.ffn_norm, 0),
                "mlp.gate_proj": (ffn.gate, 0),
                "mlp.up_proj": (ffn.up, 0),
                "mlp.down_proj": (ffn.down, 0),
            }
            found |= {f"model.layers.{i}.{name}": slot for name, slot in parts.items()}
        return {name + ".weight": slot for name, slot in found.items()}

    def forward(self, ids, positions, mask):
        """The logits after the last of ids, float32 [1, vocabulary]."""
        x = self.embedding(ids)
        rope = self.cos[positions], self.sin[positions]
        for layer in self.layers:
            x = layer(x, positions, rope, mask)
        x = self.norm(x[-1:])
        output = self.embedding.multiply if self.output is None else self.output
        return output(x).float()

    def choose(self, logits):
        self.id.copy_(logits.argmax(dim=-1))
        return logits

    def prompt(self, ids):
        """Begins a sequence with ids [tokens]: sets id and position, and returns the logits."""
        positions = self.places[: len(ids)]
        self.position.fill_(len(ids))
        return self.choose(self(ids, positions, None))

    def step(self):
        """Goes on by one token, self.id at self.position."""
        mask = self.places <= self.position
        logits = self(self.id, self.position, mask[None, None, None])
        self.position += 1
        return self.choose(logits)
