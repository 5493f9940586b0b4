"""int8 and nf4 as docs/quantisation.md defines them, and ggml's Q8_0, in NumPy: what engines are held
against."""

import numpy as np

BLOCK = 64
# NormalFloat, 4 bits: Dettmers et al. 2023, QLoRA, appendix E; as in bitsandbytes'
# functional.get_4bit_type("nf4").
NF4 = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip
MIDPOINTS = (NF4[:-1] + NF4[1:]) / np.float32(2)


def int8(weights):
    """codes [rows, columns] int8, scales [rows] float32."""
    scales = np.abs(weights).max(1) / np.float32(127)
    safe = np.where(scales > 0, scales, np.float32(1))[:, None]
    codes = np.where(scales[:, None] > 0, np.rint(weights / safe), 0)
    return np.clip(codes, -127, 127).astype(np.int8), scales


def nf4(weights):
    """codes [rows, columns] 0 to 15, scales [rows, columns / 64] float32."""
    rows, columns = weights.shape
    blocks = weights.reshape(rows, columns // BLOCK, BLOCK)
    scales = np.abs(blocks).max(2)
    safe = np.where(scales > 0, scales, np.float32(1))[:, :, None]
    codes = np.searchsorted(MIDPOINTS, blocks / safe, side="left").astype(np.uint8)
    return codes.reshape(rows, columns), scales


def int8_values(weights):
    codes, scales = int8(weights)
    return codes * scales[:, None]


def nf4_values(weights):
    codes, scales = nf4(weights)
    return NF4[codes] * np.repeat(scales, BLOCK, 1)


def q8_0_values(weights):
    """Blocks of 32: a code is the nearest whole number, ties away from zero; a scale is a float16."""
    blocks = weights.reshape(*weights.shape[:-1], -1, 32)
    scales = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    steps = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    codes = np.trunc(blocks * steps + np.copysign(np.float32(0.5), blocks))
    return (codes * scales.astype(np.float16).astype(np.float32)).reshape(weights.shape)


def values(name, weights, precision):
    """What a matrix of that canonical name is worth when the model is quantised."""
    if weights.ndim != 2:
        return weights
    if precision == "int8":
        return int8_values(weights)
    if precision == "q8_0":
        return q8_0_values(weights)
    return (
        nf4_values(weights) if ".layers." in name else weights.astype(np.float16).astype(np.float32)
    )
