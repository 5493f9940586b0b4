"""Weights in fewer bits, as docs/quantisation.md defines them: the same numbers in every engine.

check_quantisable(file, "int8")
for name, tensor in file.tensors():
    if is_quantised(name, "int8"):
        for first, codes, scales in quantise(tensor, "int8"):
            ...  # of the rows from `first` on; how they are laid out is the engine's affair
"""

import numpy as np
from prony_worker import Failure

from .blocks import BLOCKS
from .shards import split_axis

BLOCK = 64  # weights with one scale in nf4
CODE = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip
MIDPOINTS = (CODE[1:] + CODE[:-1]) / np.float32(2)
PART = 1 << 18  # weights at a time: what lies between has to fit a cache


def check_quantisable(file, method, parts=1):
    """Refuses what has no definition: another method, codes in place of weights, parts of blocks, also
    where matrices are split into parts by columns."""
    if method not in ("int8", "nf4", "float16"):
        raise Failure("unsupported", f'there is no quantisation "{method}"')
    for name, entry in file.entries.items():
        if entry.kind in BLOCKS:
            what = f'the model is quantised already: its tensor "{name}" is {entry.kind}'
            hint = "Leave --quantize out, or use the model's F32, F16 or BF16 file."
            raise Failure("unsupported", f"{what} ({file.path})", hint)
        if method == "nf4" and is_quantised(name, method):
            cut = parts if split_axis(name) else 1
            if entry.shape[1] % (BLOCK * cut):
                of = f"{entry.shape[1]}" if cut == 1 else f"{entry.shape[1]} for {cut} parts"
                what = f'nf4 has blocks of {BLOCK} weights, and the rows of "{name}" {of}'
                raise Failure("unsupported", f"{what} ({file.path})", "Use --quantize int8.")


def is_quantised(name, method):
    """Of all matrices, nf4 leaves out the embedding and the output."""
    if name.endswith("norm.weight"):
        return False
    return method != "nf4" or name.startswith("model.layers.")


def quantise(tensor, method):
    """Yields (first row, codes, scales), some rows at a time: int8 has a scale for each row, nf4
    codes from 0 to 15 and a scale for each block, [rows, columns / 64]."""
    rows, columns = tensor.array.shape
    step = max(1, PART // columns)
    for first in range(0, rows, step):
        part = as_float32(tensor, slice(first, first + step))
        yield first, *(int8 if method == "int8" else nf4)(part)


def as_float32(tensor, rows=...):
    array = tensor.array[rows]
    if tensor.dtype == "bfloat16":  # uint16: the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32, copy=False)


def int8(rows):
    scales = largest(rows) / np.float32(127)
    return np.clip(np.rint(ratio(rows, scales)), -127, 127).astype(np.int8), scales


def nf4(rows):
    blocks = rows.reshape(len(rows), -1, BLOCK)
    scales = largest(blocks)
    ratios, codes = ratio(blocks, scales), np.zeros(blocks.shape, np.uint8)
    for midpoint in MIDPOINTS:  # 50 times as fast as searchsorted
        codes += ratios > midpoint
    return codes.reshape(rows.shape), scales


def largest(values):
    """The largest magnitude along the last axis."""
    scales = np.abs(values).max(-1)
    if not np.isfinite(scales).all():
        raise Failure("bad_model", "a weight is not finite, and cannot be quantised")
    return scales


def ratio(values, scales):
    return values / np.where(scales == 0, np.float32(1), scales)[..., None]
