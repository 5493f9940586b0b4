"""Layers with weights in fewer bits, in the form of tinygrad's examples/llama3.py, by the definitions of
docs/quantisation.md. Their codes stay as they are: each kernel unpacks what it multiplies.
"""

import numpy as np
from prony_model.quantise import BLOCK, as_float32, is_quantised, quantise
from tinygrad import Tensor, dtypes, nn


class Int8Linear:
    def __init__(self, in_features, out_features, bias=False):
        self.weight = Tensor.empty(out_features, in_features, dtype=dtypes.int8)
        self.scale = Tensor.empty(out_features, dtype=dtypes.float32)

    def __call__(self, x):
        return x.linear(self.weight.cast(dtypes.float32).transpose()) * self.scale


class Int8Embedding:
    def __init__(self, vocabulary, size):
        self.weight = Tensor.empty(vocabulary, size, dtype=dtypes.int8)
        self.scale = Tensor.empty(vocabulary, dtype=dtypes.float32)

    def __call__(self, ids):
        return self.weight[ids].cast(dtypes.float32) * self.scale[ids].unsqueeze(-1)


class NF4Linear:
    """A byte has the codes of columns 32 apart, of one block."""

    code = None  # the 16 values, on the model's device

    def __init__(self, in_features, out_features, bias=False):
        blocks = in_features // BLOCK
        self.weight = Tensor.empty(out_features, blocks, BLOCK // 2, dtype=dtypes.uint8)
        self.scale = Tensor.empty(out_features, blocks, dtype=dtypes.float32)

    def __call__(self, x):
        x = x.reshape(*x.shape[:-1], 1, -1, 2, BLOCK // 2)
        halves = self.weight & 15, self.weight >> 4
        low, high = (self.code[half.cast(dtypes.int32)] for half in halves)
        products = low * x[..., 0, :] + high * x[..., 1, :]
        return (products * self.scale.unsqueeze(-1)).sum((-1, -2))


def whole(tensor, method):
    """All codes and all scales of a weight, which are there once."""
    rows, found = len(tensor.array), None
    for first, *parts in quantise(tensor, method):
        found = found or [np.empty((rows, *part.shape[1:]), part.dtype) for part in parts]
        for array, part in zip(found, parts):
            array[first : first + len(part)] = part
    return found


def held(name, tensor, dtype, method):
    """A weight as the layers have it: (name, array) of it, or of its codes and its scales."""
    place, packs = name.removeprefix("model."), method and is_quantised(name, method)
    if not packs or method == "float16":
        array = as_float32(tensor) if tensor.dtype == "bfloat16" else tensor.array
        return ((place, np.ascontiguousarray(array, np.float16 if packs else dtype)),)
    codes, scales = whole(tensor, method)
    if method == "nf4":
        pairs = codes.reshape(len(codes), -1, 2, BLOCK // 2)
        codes = pairs[:, :, 0] | pairs[:, :, 1] << 4
    return (place, codes), (place.replace(".weight", ".scale"), scales)


# What takes the place of linear layers, of the embedding, and of the output.
LAYERS = {
    "": (nn.Linear, nn.Embedding, nn.Linear),
    "float16": (nn.Linear, nn.Embedding, nn.Linear),
    "int8": (Int8Linear, Int8Embedding, Int8Linear),
    "nf4": (NF4Linear, nn.Embedding, nn.Linear),
}
