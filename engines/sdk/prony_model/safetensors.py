"""safetensors with the config.json of transformers 4 or 5."""

import json
import math
import struct

from prony_worker import Failure

from .parts import SIZE, Config, Entry, bad_model, rope_scaled


def json_read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise Failure("not_found", f"there is no file {path}", "Fetch it as well.") from None
    except (OSError, ValueError) as problem:
        raise bad_model(path, f"it is no JSON: {problem}") from None


def hf_config(path):
    values = json_read(path)
    kind = values.get("model_type", "llama")
    if kind != "llama" or values.get("attention_bias") or values.get("mlp_bias"):
        raise Failure("unsupported", f'a model of type "{kind}", or with biases ({path})')
    if values.get("quantization_config"):
        raise Failure("unsupported", f"it is quantised ({path})", "Use it in F32, F16 or BF16.")
    try:
        heads, width = values["num_attention_heads"], values["hidden_size"]
        # transformers 4 has rope_theta beside rope_scaling, 5 has it inside rope_parameters.
        scaling = values.get("rope_parameters") or values.get("rope_scaling") or {}
        config = Config(
            hidden_size=width,
            layers=values["num_hidden_layers"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_size=values.get("head_dim") or width // heads,
            ffn_size=values["intermediate_size"],
            vocabulary=values["vocab_size"],
            norm_eps=values.get("rms_norm_eps", 1e-6),
            rope_base=scaling.get("rope_theta", values.get("rope_theta", 10000.0)),
            tied=values.get("tie_word_embeddings", False),
        )
        config.rope_frequencies = rope_scaled(path, config, scaling)
    except (KeyError, TypeError, ZeroDivisionError) as problem:
        raise bad_model(path, f"config.json lacks or confuses {problem}") from None
    return config


SAFETENSORS_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def safetensors_read(file):
    """The entries of one file, by name."""
    try:
        (size,) = struct.unpack_from("<Q", file.map)
        header = json.loads(file.array(8, size).tobytes())
        header.pop("__metadata__", None)
        entries = {}
        for name, value in header.items():
            start, end = value["data_offsets"]
            if value["dtype"] not in SAFETENSORS_TYPES:
                what = f'"{name}" has the type {value["dtype"]} ({file.path})'
                raise Failure("unsupported", what, "Use the model in F32, F16 or BF16.")
            kind, shape = SAFETENSORS_TYPES[value["dtype"]], tuple(value["shape"])
            if math.prod(shape) * SIZE[kind] != end - start:
                raise ValueError(f'"{name}" has not as many bytes as its shape says')
            entries[name] = Entry(file, kind, shape, 8 + size + start, end - start)
    except (struct.error, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise bad_model(file.path, f"its safetensors header is damaged: {problem}") from None
    return entries
