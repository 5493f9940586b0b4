"""Llama models for engines in Python: the shape and the weights of a GGUF or safetensors file.

    with LlamaFile(path) as file:
        file.config.heads, file.config.rope_frequencies, ...
        for name, tensor in file.tensors():
            ...  # tensor.dtype and tensor.array, a view of the mapped file

Whatever the file, weights have the names that transformers gives them, q and k rows are in the order
for rope by halves, and the rope frequencies have their scaling applied. Needs numpy.
"""

import os

from prony_worker import Failure

from .gguf import gguf_config, gguf_name, gguf_read_parts
from .parts import Config, Mapping, Tensor, bad_model, tensor_read
from .safetensors import hf_config, json_read, safetensors_read

__all__ = ["Config", "LlamaFile", "Tensor"]


def rows_by_halves(array, head_size):
    """GGUF has the rows of q and k for rope of neighbours; here they are put for rope by halves."""
    rows, columns = array.shape
    return array.reshape(-1, head_size // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def expected_shapes(config):
    """Every tensor of the architecture, and its shape."""
    width, q = config.hidden_size, config.heads * config.head_size
    kv, ffn = config.kv_heads * config.head_size, config.ffn_size
    layer = {
        "input_layernorm": (width,),
        "self_attn.q_proj": (q, width),
        "self_attn.k_proj": (kv, width),
        "self_attn.v_proj": (kv, width),
        "self_attn.o_proj": (width, q),
        "post_attention_layernorm": (width,),
        "mlp.gate_proj": (ffn, width),
        "mlp.up_proj": (ffn, width),
        "mlp.down_proj": (width, ffn),
    }
    shapes = {
        f"model.layers.{i}.{name}.weight": shape
        for i in range(config.layers)
        for name, shape in layer.items()
    }
    shapes["model.embed_tokens.weight"] = (config.vocabulary, width)
    shapes["model.norm.weight"] = (width,)
    if not config.tied:
        shapes["lm_head.weight"] = (config.vocabulary, width)
    return shapes


class LlamaFile:
    """A model: .config, and .tensors(). Its mappings are given back by close()."""

    def __init__(self, path):
        self.path, self.files = path, []
        if not os.path.exists(path):
            raise Failure("not_found", f"there is no model at {path}")
        if not os.path.isdir(path) and self._map(path).map[:4] == b"GGUF":
            self._open_gguf()
        else:
            self._open_safetensors()
        self._check()

    def _map(self, path):
        self.files.append(Mapping(path))
        return self.files[-1]

    def _open_gguf(self):
        metadata, entries = gguf_read_parts(self.files[0], self._map)
        self.permuted = True
        self.entries = {gguf_name(name): entry for name, entry in entries.items()}
        if "model.embed_tokens.weight" not in self.entries:
            raise bad_model(self.path, '"token_embd.weight" is missing')
        self.config = gguf_config(self.path, metadata, self.entries)

    def _open_safetensors(self):
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        if os.path.isdir(self.path):
            single, index = (
                os.path.join(folder, name)
                for name in ("model.safetensors", "model.safetensors.index.json")
            )
            if os.path.exists(single):
                self._map(single)
            else:
                parts = json_read(index).get("weight_map", {}).values()
                for name in sorted(set(parts)):
                    self._map(os.path.join(folder, os.path.basename(name)))
        self.permuted, self.entries = False, {}
        for file in self.files:
            self.entries.update(safetensors_read(file))
        self.config = hf_config(os.path.join(folder, "config.json"))

    def _check(self):
        """Every tensor is there with its shape, and there is no other."""
        shapes = expected_shapes(self.config)
        for name in list(self.entries):
            if name.endswith("rotary_emb.inv_freq") or (
                name == "lm_head.weight" and self.config.tied
            ):
                del self.entries[name]
        for name in shapes.keys() ^ self.entries.keys():
            what = "is missing" if name in shapes else "has no place in a Llama model"
            raise bad_model(self.path, f'the tensor "{name}" {what}')
        for name, shape in shapes.items():
            if self.entries[name].shape != shape:
                found = self.entries[name].shape
                raise bad_model(self.path, f'the tensor "{name}" is {found}, not {shape}')

    def tensors(self):
        """(name, Tensor) one by one, in the order of the file. A tensor is a view of the file, good
        until the next one is asked for; copy it."""
        order = {id(file): i for i, file in enumerate(self.files)}
        entries = sorted(self.entries.items(), key=lambda e: (order[id(e[1].file)], e[1].offset))
        for name, entry in entries:
            tensor = tensor_read(entry)
            if self.permuted and name.endswith(("q_proj.weight", "k_proj.weight")):
                tensor.array = rows_by_halves(tensor.array, self.config.head_size)
            yield name, tensor
            entry.file.drop(entry.offset, entry.bytes)

    def close(self):
        for file in self.files:
            file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
