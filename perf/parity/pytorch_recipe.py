"""PyTorch as gpt-fast runs it, outside Prony: a script with a static cache and a compiled step.

    python pytorch_recipe.py MODEL --precision float16 --mode reduce-overhead --device cuda

Written after https://github.com/pytorch-labs/gpt-fast, in its own terms, and sharing nothing with
engines/pytorch but the reader of the file. A prompt attends to itself, causally, and only its last
token has logits. Says when it is ready; then, for each line of its standard input, prints JSON:
milliseconds to the first token, for each after it, and for each where the host does not wait for
every id.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "engines/sdk"))
from prony_model import LlamaFile  # noqa: E402


class KVCache(nn.Module):
    def __init__(self, heads, length, size, dtype):
        super().__init__()
        self.register_buffer("k_cache", torch.zeros(1, heads, length, size, dtype=dtype))
        self.register_buffer("v_cache", torch.zeros(1, heads, length, size, dtype=dtype))

    def update(self, input_pos, k_val, v_val):
        self.k_cache[:, :, input_pos] = k_val
        self.v_cache[:, :, input_pos] = v_val
        return self.k_cache, self.v_cache


def apply_rotary_emb(x, freqs):
    cos, sin = freqs[None, :, None].unbind(-1)  # [1, T, 1, half]
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).type_as(x)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.kv = c, c.kv_heads * c.head_size
        self.wqkv = nn.Linear(c.hidden_size, c.heads * c.head_size + 2 * self.kv, bias=False)
        self.wo = nn.Linear(c.heads * c.head_size, c.hidden_size, bias=False)

    def forward(self, x, freqs, mask, input_pos):
        c, length = self.c, x.shape[1]
        q, k, v = self.wqkv(x).split([c.heads * c.head_size, self.kv, self.kv], dim=-1)
        q = apply_rotary_emb(q.view(1, length, c.heads, c.head_size), freqs).transpose(1, 2)
        k = apply_rotary_emb(k.view(1, length, c.kv_heads, c.head_size), freqs).transpose(1, 2)
        v = v.view(1, length, c.kv_heads, c.head_size).transpose(1, 2)
        cached = self.kv_cache.update(input_pos, k, v)
        k, v = (k, v) if mask is None else cached
        k = k.repeat_interleave(c.heads // c.kv_heads, dim=1)
        v = v.repeat_interleave(c.heads // c.kv_heads, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.wo(y.transpose(1, 2).reshape(1, length, c.heads * c.head_size))


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(torch.mean(y * y, dim=-1, keepdim=True) + self.eps)
        return y.type_as(x) * self.weight


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention, self.attention_norm = Attention(c), RMSNorm(c.hidden_size, c.norm_eps)
        self.ffn_norm = RMSNorm(c.hidden_size, c.norm_eps)
        self.w1 = nn.Linear(c.hidden_size, c.ffn_size, bias=False)
        self.w3 = nn.Linear(c.hidden_size, c.ffn_size, bias=False)
        self.w2 = nn.Linear(c.ffn_size, c.hidden_size, bias=False)

    def forward(self, x, input_pos, freqs, mask):
        h = x + self.attention(self.attention_norm(x), freqs, mask, input_pos)
        y = self.ffn_norm(h)
        return h + self.w2(F.silu(self.w1(y)) * self.w3(y))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tok_embeddings = nn.Embedding(c.vocabulary, c.hidden_size)
        self.layers = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden_size, c.norm_eps)
        self.output = nn.Linear(c.hidden_size, c.vocabulary, bias=False)

    def forward(self, idx, input_pos):
        mask = None if idx.shape[1] > 1 else self.causal_mask[None, None, input_pos]
        freqs = self.freqs_cis[input_pos]
        x = self.tok_embeddings(idx)
        for layer in self.layers:
            x = layer(x, input_pos, freqs, mask)
        return self.output(self.norm(x[:, -1:]))


NAMES = {
    "input_layernorm": "attention_norm",
    "self_attn.o_proj": "attention.wo",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "w1",
    "mlp.up_proj": "w3",
    "mlp.down_proj": "w2",
}


def load(path, length, dtype, device):
    """The weights as a state dict, and the model around them."""
    state = {}
    with LlamaFile(path) as file:
        for name, tensor in file.tensors():
            array = np.array(tensor.array)
            if tensor.dtype == "bfloat16":
                state[name] = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
            else:
                state[name] = torch.from_numpy(array)
            state[name] = state[name].to(device, dtype)
    c = file.config
    named = {
        "tok_embeddings.weight": state["model.embed_tokens.weight"],
        "norm.weight": state["model.norm.weight"],
        "output.weight": state.get("lm_head.weight", state["model.embed_tokens.weight"]),
    }
    for i in range(c.layers):
        qkv = [state[f"model.layers.{i}.self_attn.{p}_proj.weight"] for p in "qkv"]
        named[f"layers.{i}.attention.wqkv.weight"] = torch.cat(qkv)
        for theirs, ours in NAMES.items():
            named[f"layers.{i}.{ours}.weight"] = state[f"model.layers.{i}.{theirs}.weight"]
    with torch.device("meta"):
        model = Transformer(c)
    model.load_state_dict(named, assign=True)
    with torch.device(device):
        for layer in model.layers:
            layer.attention.kv_cache = KVCache(c.kv_heads, length, c.head_size, dtype)
        angles = torch.arange(length).float()[:, None] * torch.tensor(c.rope_frequencies).to(device)
        model.freqs_cis = torch.stack([angles.cos(), angles.sin()], dim=-1)
        model.causal_mask = torch.tril(torch.ones(length, length, dtype=torch.bool))
    return model.eval()


def decode_one_token(model, x, input_pos):
    return model(x, input_pos)[:, -1].argmax(dim=-1, keepdim=True)


def prefill(model, x, input_pos):
    return decode_one_token(model, x, input_pos)


def generate(model, first, step, prompt, tokens, wait, device):
    """The ids, and when it began and each of them was there, or the first and the last."""
    began = time.perf_counter()
    input_pos = torch.arange(len(prompt), device=device)
    x = torch.tensor([prompt], device=device)
    torch.compiler.cudagraph_mark_step_begin()
    token = first(model, x, input_pos).clone()
    input_pos = torch.tensor([len(prompt)], device=device)
    ids, stamps = [token.item()], [time.perf_counter()]
    for _ in range(tokens):
        torch.compiler.cudagraph_mark_step_begin()
        token = step(model, token, input_pos).clone()
        input_pos += 1
        if wait:
            ids.append(token.item())
            stamps.append(time.perf_counter())
    ids.append(token.item())
    stamps.append(time.perf_counter())
    return ids, began, stamps


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--mode", default="reduce-overhead", help="of torch.compile; eager: none")
    parser.add_argument("--compile-prompt", action="store_true", help="the prompt's pass as well")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--context", type=int, default=256)
    o = parser.parse_args()
    torch.set_grad_enabled(False)
    if o.threads:
        torch.set_num_threads(o.threads)
    model = load(o.model, o.context, getattr(torch, o.precision), o.device)
    first, step = prefill, decode_one_token
    if o.mode != "eager":
        torch._inductor.config.coordinate_descent_tuning = o.mode.startswith("max-autotune")
        step = torch.compile(decode_one_token, fullgraph=True, mode=o.mode)
        if o.compile_prompt:
            first = torch.compile(prefill, fullgraph=True, mode=o.mode)
    prompt = [(i * 7919 + 13) % model.output.out_features for i in range(o.prompt)]
    count = o.warm_up + o.tokens
    for _ in range(2):
        generate(model, first, step, prompt, 4, True, o.device)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        ids, began, stamps = generate(model, first, step, prompt, count, True, o.device)
        waited = (stamps[count] - stamps[o.warm_up]) / o.tokens
        result = {"first_ms": (stamps[0] - began) * 1e3, "ms": waited * 1e3, "ids": ids[:16]}
        _, _, stamps = generate(model, first, step, prompt, count, False, o.device)
        result["ms_unwaited"] = (stamps[-1] - stamps[0]) / count * 1e3
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
