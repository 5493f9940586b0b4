"""Weights in fewer bits for model.py, in the manner of gpt-fast's quantize.py.

A packed matrix takes the place of a layer's, and stays packed: what unpacks it becomes a part of the
compiled product of one token, and costs no memory there. A prompt's products are a library's, so it
unpacks one matrix at a time.
"""

import torch
import torch.nn.functional as F
from prony_model.quantise import BLOCK, CODE, quantise
from torch import nn

VALUES = CODE.tolist()


def parameter(*shape, dtype=torch.float32):
    return nn.Parameter(torch.empty(*shape, dtype=dtype), requires_grad=False)


class Packed(nn.Module):
    """In the place of a linear layer. unpack() gives the matrix [rows, columns] in float32, product()
    its product with a vector in float32."""

    def __init__(self, layer):
        super().__init__()
        self.dtype = layer.weight.dtype  # of activations
        self.make(*layer.weight.shape)

    def forward(self, x):
        if len(x) > 1:
            return F.linear(x, self.unpack().type_as(x))
        return self.product(x[0].float())[None].type_as(x)

    def fill(self, row, tensor):
        for first, codes, scales in quantise(tensor, self.method):
            rows = slice(row + first, row + first + len(codes))
            self.put(rows, torch.from_numpy(codes), torch.from_numpy(scales))


class Int8(Packed):
    method = "int8"

    def make(self, rows, columns):
        self.codes = parameter(rows, columns, dtype=torch.int8)
        self.scales = parameter(rows)

    def put(self, rows, codes, scales):
        self.codes[rows], self.scales[rows] = codes, scales

    def unpack(self):
        return self.codes.float() * self.scales[:, None]

    def product(self, x):
        return (self.codes.float() * x).sum(-1) * self.scales


class Int8Embedding(Int8):
    def forward(self, ids):
        return (self.codes[ids].float() * self.scales[ids, None]).to(self.dtype)

    def multiply(self, x):
        return super().forward(x)


class Nf4(Packed):
    """A byte has the codes of two columns that are half a block apart."""

    method = "nf4"

    def make(self, rows, columns):
        self.codes = parameter(rows, columns // BLOCK, BLOCK // 2, dtype=torch.uint8)
        self.scales = parameter(rows, columns // BLOCK)
        self.register_buffer("table", torch.empty(len(CODE)), persistent=False)

    def put(self, rows, codes, scales):
        self.table.copy_(torch.from_numpy(CODE))
        low, high = codes.view(len(codes), -1, 2, BLOCK // 2).unbind(2)
        self.codes[rows], self.scales[rows] = low | high << 4, scales

    def values(self, codes):
        """A GPU looks them up. For a CPU the compiler would, too, one by one: it makes vectors of
        choices between two, bit by bit, which took 0.4 times as long."""
        if codes.is_cuda:
            return self.table[codes]
        values = VALUES
        for bit in (1, 2, 4, 8):
            is_set = (codes & bit) != 0
            values = [torch.where(is_set, b, a) for a, b in zip(values[::2], values[1::2])]
        return values[0]

    def halves(self):
        codes = self.codes.int()
        return self.values(codes & 15), self.values(codes >> 4)

    def unpack(self):
        return (torch.stack(self.halves(), 2) * self.scales[..., None, None]).flatten(1)

    def product(self, x):
        low, high = self.halves()
        first, second = x.view(-1, 2, BLOCK // 2).unbind(1)
        return ((low * first + high * second) * self.scales[..., None]).sum((-1, -2))


def pack(model, method):
    """Puts packed matrices, without values, in the places of those that the method quantises."""
    for parent in list((model.layers if method == "nf4" else model).modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, {"int8": Int8, "nf4": Nf4}[method](child))
            elif isinstance(child, nn.Embedding):
                setattr(parent, name, Int8Embedding(child))
