"""GGUF, version 2 and 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"""

import math
import struct

import numpy as np
from prony_worker import Failure

from .blocks import BLOCKS
from .parts import SIZE, Config, Entry, bad_model, rope_plain, tensor_read

CONVERT = "Convert it: prony model convert IN --output OUT.gguf"
LAYER = {
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
OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}

# What GGUF's numbers mean: metadata values, and tensor types.
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
STRING, ARRAY = 8, 9
GGUF_TYPES = {
    0: "float32", 1: "float16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 30: "bfloat16",
}  # fmt: skip


class GgufCursor:
    """Reads GGUF's header, front to back. Arrays, which are the tokeniser's, are skipped."""

    def __init__(self, file):
        self.map, self.position = file.map, 0

    def scalar(self, form):
        (value,) = struct.unpack_from(form, self.map, self.position)
        self.position += struct.calcsize(form)
        return value

    def skip(self, count):
        self.position += count
        if self.position > len(self.map):
            raise ValueError("it ends within its header")

    def string(self):
        start, size = self.position + 8, self.scalar("<Q")
        self.skip(size)
        return self.map[start : start + size].decode("utf-8", "replace")

    def array(self):
        kind, count = self.scalar("<I"), self.scalar("<Q")
        if kind == STRING:
            for _ in range(count):
                self.skip(self.scalar("<Q"))
        elif kind == ARRAY:
            for _ in range(count):
                self.array()
        else:
            self.skip(count * struct.calcsize(SCALARS[kind]))

    def value(self):
        kind = self.scalar("<I")
        if kind == ARRAY:
            return self.array()
        return self.string() if kind == STRING else self.scalar(SCALARS[kind])


def gguf_entry(file, cursor):
    name, dimensions = cursor.string(), cursor.scalar("<I")
    if dimensions > 4:
        raise ValueError(f'"{name}" has {dimensions} dimensions')
    shape = tuple(cursor.scalar("<Q") for _ in range(dimensions))[::-1]
    kind, offset = cursor.scalar("<I"), cursor.scalar("<Q")
    if kind not in GGUF_TYPES:
        raise Failure("unsupported", f'"{name}" has the GGUF type {kind} ({file.path})', CONVERT)
    kind, count = GGUF_TYPES[kind], math.prod(shape)
    if kind in BLOCKS:
        weights, size = BLOCKS[kind].weights, BLOCKS[kind].bytes
        if not shape or shape[-1] % weights:
            raise ValueError(f'the rows of "{name}" are no whole blocks of {kind}')
        size = count // weights * size
    else:
        size = count * SIZE[kind]
    return name, Entry(file, kind, shape, offset, size)


def gguf_read(file):
    """Metadata without its arrays, and the entries by their GGUF names."""
    cursor = GgufCursor(file)
    try:
        cursor.skip(4)  # the magic, which the caller knows
        version, count, keys = cursor.scalar("<I"), cursor.scalar("<Q"), cursor.scalar("<Q")
        if version not in (2, 3):
            raise Failure("unsupported", f"it is GGUF version {version} ({file.path})", CONVERT)
        metadata = {}
        for _ in range(keys):
            key = cursor.string()
            metadata[key] = cursor.value()
        entries = dict(gguf_entry(file, cursor) for _ in range(count))
        alignment = int(metadata.get("general.alignment", 32))
        start = -(-cursor.position // alignment) * alignment
    except (struct.error, KeyError, ValueError, ZeroDivisionError) as problem:
        raise bad_model(file.path, f"its GGUF header is damaged: {problem}") from None
    for entry in entries.values():
        entry.offset += start
    return metadata, entries


def gguf_part_path(path, number, count):
    """Where gguf-split has put a part of the model, from 0 on, whose first part is at path."""
    ending = f"-00001-of-{count:05}.gguf"
    if not path.endswith(ending):
        raise bad_model(path, f"it is the first of {count} parts, and its name does not end so")
    return f"{path.removesuffix(ending)}-{number + 1:05}-of-{count:05}.gguf"


def gguf_read_parts(first, open_file):
    """Metadata and entries of a model whose first, or only, file is open. open_file opens another."""
    metadata, entries = gguf_read(first)
    count = metadata.get("split.count", 0)
    if count <= 1:
        return metadata, entries
    if metadata.get("split.no") != 0:
        raise bad_model(first.path, f"it is not the first of {count} parts")
    for number in range(1, count):
        file = open_file(gguf_part_path(first.path, number, count))
        keys, more = gguf_read(file)
        if (keys.get("split.no"), keys.get("split.count")) != (number, count) or (
            entries.keys() & more.keys()
        ):
            raise bad_model(file.path, f"it is not part {number + 1} of {count} of this model")
        entries |= more
    if len(entries) != metadata.get("split.tensors.count"):
        raise bad_model(first.path, f"its {count} parts are not of one model")
    return metadata, entries


def gguf_config(path, metadata, entries):
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise Failure("unsupported", f'the architecture is "{architecture}", not llama ({path})')
    if metadata.get("llama.expert_count", 0) > 0:
        raise Failure("unsupported", f"it is a mixture of experts ({path})")
    if metadata.get("llama.rope.scaling.type", "none") not in ("none", "linear"):
        raise Failure("unsupported", f"the rope scaling is neither linear nor llama3's ({path})")

    def number(key, otherwise=None):
        value = metadata.get("llama." + key, otherwise)
        if value is None:
            raise bad_model(path, f'"llama.{key}" is missing')
        return value

    heads = number("attention.head_count")
    config = Config(
        hidden_size=number("embedding_length"),
        layers=number("block_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        head_size=number("attention.key_length", number("embedding_length") // heads),
        ffn_size=number("feed_forward_length"),
        vocabulary=entries["model.embed_tokens.weight"].shape[0],
        norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_base=number("rope.freq_base", 10000.0),
        tied="lm_head.weight" not in entries,
    )
    factor = number("rope.scaling.factor", number("rope.scale_linear", 1.0))
    linear = metadata.get("llama.rope.scaling.type") != "none" and factor or 1.0
    frequencies = rope_plain(config) / linear
    if "rope_freqs" in entries:  # llama3's scaling: what each frequency is divided by
        entry = entries.pop("rope_freqs")
        frequencies = frequencies / tensor_read(entry).array.astype(np.float64)
    config.rope_frequencies = frequencies.astype(np.float32)
    return config


def gguf_name(name):
    """The name that transformers has for a tensor of a GGUF file."""
    stem = name.removesuffix(".weight")
    if stem == "rope_freqs":
        return stem
    if stem.startswith("blk."):
        _, layer, part = stem.split(".", 2)
        return f"model.layers.{layer}.{LAYER.get(part, part)}.weight"
    return OUTSIDE.get(stem, stem) + ".weight"
