"""A GGUF model cut into parts as llama.cpp's gguf-split names and marks them, without that tool. (The
oracle tests cut with the gguf package.)"""

import struct
from pathlib import Path

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT16, INT32 = 8, 9, 2, 5
HEAD, ALIGNMENT = 24, 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self):
        size = self.take("<Q")
        self.at += size
        return self.data[self.at - size : self.at]

    def skip(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            kind, count = self.take("<I"), self.take("<Q")
            for _ in range(count):
                self.skip(kind)
        else:
            self.at += SIZES[kind]

    def tensor(self):
        """A tensor's entry up to its offset, and the offset."""
        start = self.at
        self.string()
        dimensions = self.take("<I")
        self.at += 8 * dimensions + 4
        return self.data[start : self.at], self.take("<Q")


def pad(data):
    return data + bytes(-len(data) % ALIGNMENT)


def read(path):
    """The number of keys, their bytes, and each tensor's entry and data."""
    reader = Reader(Path(path).read_bytes())
    reader.at = 8
    tensors, keys = reader.take("<Q"), reader.take("<Q")
    for _ in range(keys):
        reader.string()
        reader.skip(reader.take("<I"))
    metadata = reader.data[HEAD : reader.at]
    entries = [reader.tensor() for _ in range(tensors)]
    data = reader.data[len(pad(reader.data[: reader.at])) :]
    ends = [offset for _, offset in entries[1:]] + [len(data)]
    pieces = [(entry, data[start:end]) for (entry, start), end in zip(entries, ends, strict=True)]
    return keys, metadata, pieces


def key(name, kind, form, value):
    name = name.encode()
    return struct.pack("<Q", len(name)) + name + struct.pack("<I" + form, kind, value)


def part(keys, metadata, pieces):
    table, data = b"", b""
    for entry, weights in pieces:
        table += entry + struct.pack("<Q", len(data))
        data += pad(weights)
    return pad(b"GGUF" + struct.pack("<IQQ", 3, len(pieces), keys) + metadata + table) + data


def cut(model, folder, count, name="parts"):
    """Writes the parts and gives their paths. The first has nothing but metadata."""
    keys, metadata, pieces = read(model)
    share = -(-len(pieces) // (count - 1))
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"{name}-{i + 1:05}-of-{count:05}.gguf" for i in range(count)]
    for i, path in enumerate(paths):
        marks = (
            key("split.no", UINT16, "H", i)
            + key("split.count", UINT16, "H", count)
            + key("split.tensors.count", INT32, "i", len(pieces))
        )
        own = pieces[(i - 1) * share : i * share] if i else []
        path.write_bytes(part(3, marks, own) if i else part(keys + 3, metadata + marks, own))
    return paths
