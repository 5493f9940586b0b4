"""A Llama model in plain PyTorch, for one sequence, in the manner of gpt-fast.

Keys and values lie in a cache of fixed size, and so do the newest id and its position: the step of one
token has fixed shapes and no arguments. It can be compiled once and, on CUDA, recorded as one graph,
argmax included. What leaves the device is model.id.
"""

import torch
import torch.nn.functional as F
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

    def make_cache(self, context):
        cache = self.wqkv.weight.new_zeros(2, self.kv_heads, context, self.head_size)
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


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.output = None  # tied: the embedding serves
        if not config.tied:
            self.output = nn.Linear(config.hidden_size, config.vocabulary, bias=False)

    @classmethod
    def empty(cls, config, context, dtype, device):
        """A model on the device without values, to be filled through its weights()."""
        with torch.device("meta"):
            model = cls(config).to(dtype).requires_grad_(False).eval()
        model = model.to_empty(device=device)
        for layer in model.layers:
            layer.attention.make_cache(context)
        # Made after `to`, which would round them to the weights' precision: angles stay float32.
        frequencies = torch.tensor(config.rope_frequencies)
        angles = torch.arange(context, dtype=torch.float32)[:, None] * frequencies
        model.register_buffer("cos", angles.cos().to(device))
        model.register_buffer("sin", angles.sin().to(device))
        model.register_buffer("places", torch.arange(context, device=device))
        model.register_buffer("id", torch.zeros(1, dtype=torch.int64, device=device))
        model.register_buffer("position", torch.zeros(1, dtype=torch.int64, device=device))
        return model

    def weights(self):
        """{name as transformers has it: the tensor that takes its values}"""
        found = {
            "model.embed_tokens.weight": self.embedding.weight,
            "model.norm.weight": self.norm.weight,
        }
        if self.output is not None:
            found["lm_head.weight"] = self.output.weight
        for i, layer in enumerate(self.layers):
            q, k, v = layer.attention.wqkv.weight.split(layer.attention.rows)
            parts = {
                "input_layernorm": layer.attention_norm.weight,
                "self_attn.q_proj": q,
                "self_attn.k_proj": k,
                "self_attn.v_proj": v,
                "self_attn.o_proj": layer.attention.wo.weight,
                "post_attention_layernorm": layer.ffn_norm.weight,
                "mlp.gate_proj": layer.ffn.gate.weight,
                "mlp.up_proj": layer.ffn.up.weight,
                "mlp.down_proj": layer.ffn.down.weight,
            }
            found |= {f"model.layers.{i}.{name}.weight": part for name, part in parts.items()}
        return found

    def forward(self, ids, positions, mask):
        """The logits after the last of ids, float32 [1, vocabulary]."""
        x = self.embedding(ids)
        rope = self.cos[positions], self.sin[positions]
        for layer in self.layers:
            x = layer(x, positions, rope, mask)
        x = self.norm(x[-1:])
        output = self.embedding if self.output is None else self.output
        return F.linear(x, output.weight).float()

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
