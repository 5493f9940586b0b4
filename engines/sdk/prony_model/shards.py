"""Splitting a model over devices, tensor parallel: which numbers of them a model allows.

check_shards(file.config, request.shard, cpu_devices(request))
tensor.array[part_of(name, tensor.array.shape, rank, count)]
"""

from prony_worker import Failure


def split_axis(name):
    """Along which axis a matrix is split: its output rows or, where products end in a sum over all parts,
    its input columns."""
    return 1 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0


def part_of(name, shape, rank, count):
    """What one of so many parts has of a tensor: a slice for each axis. Norms are whole."""
    slices = [slice(None)] * len(shape)
    if len(shape) > 1:
        axis = split_axis(name)
        size = shape[axis] // count
        slices[axis] = slice(rank * size, (rank + 1) * size)
    return tuple(slices)


def cpu_devices(request):
    """How many devices a CPU is: one for each thread. As many as are asked for elsewhere, where what
    opens the devices knows better."""
    return request.threads or request.shard if request.device == "cpu" else request.shard


def check_shards(config, count, devices):
    """Refuses what does not divide, or has too few devices. The host has seen to it for a model that
    it knows."""
    sizes = {
        "heads": config.heads,
        "key heads": config.kv_heads,
        "inner rows": config.ffn_size,
        "words": config.vocabulary,
    }
    odd = [f"{size} {what}" for what, size in sizes.items() if size % count]
    if odd:
        would = [n for n in range(2, config.kv_heads + 1) if not any(s % n for s in sizes.values())]
        raise Failure(
            "unsupported",
            f"a model with {', '.join(odd)} does not split into {count} parts",
            f"Parts that would do: {', '.join(map(str, would)) or 'none'}.",
        )
    if devices < count:
        raise Failure("unsupported", f"there are {devices} devices for {count} parts")
