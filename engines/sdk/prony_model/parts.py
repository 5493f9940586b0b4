"""What the readers of both formats share: a shape, entries of a mapped file, rope frequencies."""

import contextlib
import dataclasses
import math
import mmap

import numpy as np
from prony_worker import Failure

from .blocks import BLOCKS, dequantise


@dataclasses.dataclass
class Config:
    """A model's shape. rope_frequencies: float32 [head_size / 2], radians a position."""

    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    ffn_size: int
    vocabulary: int
    norm_eps: float
    rope_base: float
    tied: bool  # the embedding is the output matrix
    rope_frequencies: np.ndarray = None


@dataclasses.dataclass
class Tensor:
    """A weight: float32, float16, or bfloat16, which numpy holds as uint16."""

    dtype: str
    array: np.ndarray


@dataclasses.dataclass
class Entry:
    """Where a tensor lies: kind is a dtype, or the name of a block format."""

    file: "Mapping"
    kind: str
    shape: tuple
    offset: int
    bytes: int


NUMPY = {"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}
SIZE = {"float32": 4, "float16": 2, "bfloat16": 2}


def bad_model(path, what):
    return Failure("bad_model", f"{what} ({path})", "Fetch the model again.")


class Mapping:
    """A file in memory: pages come as they are read, and go when drop() says so."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError:
            raise Failure("not_found", f"there is no file {path}") from None
        except (OSError, ValueError) as problem:  # ValueError: an empty file
            raise bad_model(path, f"the file cannot be mapped: {problem}") from None
        self.map.madvise(mmap.MADV_SEQUENTIAL)

    def array(self, offset, size):
        if offset < 0 or size < 0 or offset + size > len(self.map):
            raise bad_model(self.path, f"bytes {offset} to {offset + size} lie outside the file")
        return np.frombuffer(self.map, np.uint8, size, offset)

    def drop(self, offset, size):
        """Lets go of the pages that lie wholly in a range that nobody will read again."""
        start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        size = (offset + size - start) // mmap.PAGESIZE * mmap.PAGESIZE
        if size > 0:
            self.map.madvise(mmap.MADV_DONTNEED, start, size)

    def close(self):
        with contextlib.suppress(BufferError):  # an array of it still lives; its end unmaps
            self.map.close()


def tensor_read(entry):
    data = entry.file.array(entry.offset, entry.bytes)
    if entry.kind in BLOCKS:
        return Tensor("float32", dequantise(entry.kind, data).reshape(entry.shape))
    return Tensor(entry.kind, data.view(NUMPY[entry.kind]).reshape(entry.shape))


def rope_plain(config):
    pairs = np.arange(0, config.head_size, 2, dtype=np.float64)
    return config.rope_base ** -(pairs / config.head_size)


def rope_scaled(path, config, scaling):
    """The frequencies by config.json's rope_parameters or rope_scaling, as transformers has them."""
    frequencies = rope_plain(config)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "linear":
        frequencies = frequencies / scaling["factor"]
    elif kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
        smooth = np.clip((turns - low) / (high - low), 0, 1)
        frequencies = (1 - smooth) * frequencies / scaling["factor"] + smooth * frequencies
    elif kind != "default":
        raise Failure("unsupported", f'rope scaling of type "{kind}" ({path})')
    return frequencies.astype(np.float32)
