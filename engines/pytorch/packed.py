"""Weights in fewer bits for model.py, in the manner of gpt-fast's quantize.py.

A packed matrix takes the place of a layer's, and stays packed: what unpacks it becomes a part of the
compiled product of one token, and costs no memory there. A prompt's products are a library's, so it
unpacks one matrix at a time.

What nf4 does with a matrix is many operations, so that is a region of its own: compiled once for all
matrices of a shape, and called for each.
"""

import dataclasses

import torch
import torch.nn.functional as F
from prony_model.quantise import BLOCK, CODE, quantise
from torch import nn

VALUES = CODE.tolist()
WHOLE = slice(None), slice(None)


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

    def fill(self, row, tensor, part=WHOLE):
        """With some rows and columns of a tensor, from `row` on. Scales are those of whole rows."""
        rows, columns = part
        tensor = dataclasses.replace(tensor, array=tensor.array[rows])
        for first, codes, scales in quantise(tensor, self.method):
            place = slice(row + first, row + first + len(codes))
            self.put(place, torch.from_numpy(codes)[:, columns], torch.from_numpy(scales), columns)


class Int8(Packed):
    method = "int8"

    def make(self, rows, columns):
        self.codes = parameter(rows, columns, dtype=torch.int8)
        self.scales = parameter(rows)

    def put(self, place, codes, scales, _):
        self.codes[place], self.scales[place] = codes, scales

    def unpack(self):
        return self.codes.float() * self.scales[:, None]

    def product(self, x):
        return (self.codes.float() * x).sum(-1) * self.scales


class Int8Embedding(Int8):
    def forward(self, ids):
        return (self.codes[ids].float() * self.scales[ids, None]).to(self.dtype)

    def multiply(self, x):
        return super().forward(x)


def nf4_values(codes, table):
    """A GPU looks them up. For a CPU the compiler would, too, one by one: it makes vectors of choices
    between two, bit by bit, which took 0.4 times as long."""
    if codes.is_cuda:
        return table[codes]
    values = VALUES
    for bit in (1, 2, 4, 8):
        is_set = (codes & bit) != 0
        values = [torch.where(is_set, b, a) for a, b in zip(values[::2], values[1::2])]
    return values[0]


def nf4_halves(codes, table):
    codes = codes.int()
    return nf4_values(codes & 15, table), nf4_values(codes >> 4, table)


@torch.compiler.nested_compile_region
def nf4_unpack(codes, scales, table):
    return (torch.stack(nf4_halves(codes, table), 2) * scales[..., None, None]).flatten(1)


@torch.compiler.nested_compile_region
def nf4_product(codes, scales, table, x):
    low, high = nf4_halves(codes, table)
    first, second = x.view(-1, 2, BLOCK // 2).unbind(1)
    return ((low * first + high * second) * scales[..., None]).sum((-1, -2))


class Nf4(Packed):
    """A byte has the codes of two columns that are half a block apart."""

    method = "nf4"

    def make(self, rows, columns):
        self.codes = parameter(rows, columns // BLOCK, BLOCK // 2, dtype=torch.uint8)
        self.scales = parameter(rows, columns // BLOCK)
        self.register_buffer("table", torch.empty(len(CODE)), persistent=False)

    def put(self, place, codes, scales, columns):
        self.table.copy_(torch.from_numpy(CODE))
        low, high = codes.reshape(len(codes), -1, 2, BLOCK // 2).unbind(2)
        first = (columns.start or 0) // BLOCK
        self.codes[place] = low | high << 4
        self.scales[place] = scales[:, first : first + low.shape[1]]

    def unpack(self):
        return nf4_unpack(self.codes, self.scales, self.table)

    def product(self, x):
        return nf4_product(self.codes, self.scales, self.table, x)


def pack(model, method):
    """Puts packed matrices, without values, in the places of those that the method quantises."""
    for parent in list((model.layers if method == "nf4" else model).modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, {"int8": Int8, "nf4": Nf4}[method](child))
            elif isinstance(child, nn.Embedding):
                setattr(parent, name, Int8Embedding(child))
