"""GGUF's block formats as float32, with the arithmetic of ggml: bit for bit what `gguf` gives."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Block:
    weights: int
    bytes: int
    decode: callable


def halves(blocks, at):
    """One float16 of each block, as float32 [blocks, 1]."""
    return blocks[:, at : at + 2].copy().view(np.float16).astype(np.float32)


def nibbles(data):
    """[blocks, n] bytes -> [blocks, 2 n]: all low nibbles, then all high ones."""
    return np.concatenate([data & 15, data >> 4], axis=1)


def fifth_bits(data):
    """[blocks, 4] bytes -> [blocks, 32]: a bit for each weight, lowest first, as 0 or 16."""
    return np.unpackbits(data, axis=1, bitorder="little") << 4


def q4_0(b):
    return (nibbles(b[:, 2:]).astype(np.int8) - 8).astype(np.float32) * halves(b, 0)


def q4_1(b):
    return nibbles(b[:, 4:]).astype(np.float32) * halves(b, 0) + halves(b, 2)


def q5_0(b):
    values = (nibbles(b[:, 6:]) | fifth_bits(b[:, 2:6])).astype(np.int8) - 16
    return values.astype(np.float32) * halves(b, 0)


def q5_1(b):
    values = nibbles(b[:, 8:]) | fifth_bits(b[:, 4:8])
    return values.astype(np.float32) * halves(b, 0) + halves(b, 2)


def q8_0(b):
    return b[:, 2:].view(np.int8).astype(np.float32) * halves(b, 0)


def k_scales(data):
    """12 bytes -> 8 scales and 8 minima of 6 bits each: [blocks, 8] twice."""
    first, second, third = data[:, 0:4], data[:, 4:8], data[:, 8:12]
    scales = np.concatenate([first & 63, (third & 15) | (first >> 6 << 4)], axis=1)
    minima = np.concatenate([second & 63, (third >> 4) | (second >> 6 << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def k_values(b, quants):
    """The weights of 8 groups of 32, from their small numbers [blocks, 8, 32]."""
    scales, minima = k_scales(b[:, 4:16])
    d, dmin = halves(b, 0) * scales, halves(b, 2) * minima
    return (d[..., None] * quants.astype(np.float32) - dmin[..., None]).reshape(len(b), 256)


def k_nibbles(data):
    """128 bytes -> [blocks, 8, 32]: each 32 bytes hold a group low and the next one high."""
    data = data.reshape(-1, 4, 1, 32)
    return np.concatenate([data & 15, data >> 4], axis=2).reshape(-1, 8, 32)


def q4_k(b):
    return k_values(b, k_nibbles(b[:, 16:]))


def q5_k(b):
    shifts = np.arange(8, dtype=np.uint8).reshape(1, 8, 1)
    high = (b[:, 16:48].reshape(-1, 1, 32) >> shifts & 1) << 4
    return k_values(b, k_nibbles(b[:, 48:]) | high)


def q6_k(b):
    """{128 bytes of low nibbles, 64 of high pairs of bits, 16 int8 scales, d}."""
    low = b[:, :128].reshape(-1, 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 8, 32)
    shifts = np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    high = (b[:, 128:192].reshape(-1, 2, 1, 32) >> shifts & 3).reshape(-1, 8, 32)
    values = ((low | high << 4).astype(np.int8) - 32).reshape(-1, 16, 16).astype(np.float32)
    scales = halves(b, 208) * b[:, 192:208].view(np.int8).astype(np.float32)
    return (scales[..., None] * values).reshape(len(b), 256)


BLOCKS = {
    "Q4_0": Block(32, 18, q4_0),
    "Q4_1": Block(32, 20, q4_1),
    "Q5_0": Block(32, 22, q5_0),
    "Q5_1": Block(32, 24, q5_1),
    "Q8_0": Block(32, 34, q8_0),
    "Q4_K": Block(256, 144, q4_k),
    "Q5_K": Block(256, 176, q5_k),
    "Q6_K": Block(256, 210, q6_k),
}


def dequantise(kind, data):
    """Blocks as bytes -> float32, some megabytes at a time: what lies between has to fit a cache."""
    block = BLOCKS[kind]
    blocks = data.reshape(-1, block.bytes)
    out = np.empty((len(blocks), block.weights), np.float32)
    step = max(1, (1 << 20) // block.weights)
    for at in range(0, len(blocks), step):
        out[at : at + step] = block.decode(blocks[at : at + step])
    return out
