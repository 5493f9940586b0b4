"""A model split over processes, tensor parallel in the manner of Megatron-LM: torch.distributed, with
gloo on CPUs and NCCL on GPUs.

Rank 0 is the worker; it starts the others, which do what it orders over their standard input.
"""

import ctypes
import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from prony_worker import Failure
from torch import nn

from model import Embedding

PATIENCE_S = int(os.environ.get("PRONY_SHARD_TIMEOUT", "300"))  # one may still compile
LOAD_PATIENCE_S = 3600  # a model may be large, and its disk slow
exchanged = {"bytes": 0, "ns": 0}  # by this process so far


class Group:
    """Of all ranks, with the patience that fits tokens."""

    tokens = None


@torch.library.custom_op("prony::sum_ranks", mutates_args=())
def sum_ranks(x: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks: opaque to torch.compile, so that it can be timed."""
    start = time.monotonic_ns()
    x = x.clone()
    dist.all_reduce(x, group=Group.tokens)
    exchanged["bytes"] += x.nbytes
    exchanged["ns"] += time.monotonic_ns() - start
    return x


@sum_ranks.register_fake
def _(x):
    return torch.empty_like(x)


class Summed(nn.Linear):
    """Of which each rank has some input columns."""

    def forward(self, x):
        return sum_ranks(super().forward(x))


class SplitEmbedding(Embedding):
    """Of which each rank has some words."""

    def forward(self, ids):
        local = ids - self.rank * self.num_embeddings
        mine = (local >= 0) & (local < self.num_embeddings)
        return sum_ranks(super().forward(local.where(mine, 0)) * mine[:, None])


def spread(part, rank, count):
    """[count, ...] of zeros but for this rank's part: the sum over ranks has all of them."""
    return F.pad(part[None], [0, 0] * part.dim() + [rank, count - 1 - rank])


def choose(self, logits):
    """Llama.choose: each rank's best word, and the best of those; the lowest id on ties."""
    value, word = logits[0].double().max(dim=0)
    best = torch.stack((value, (word + self.rank * logits.shape[1]).double()))
    best = sum_ranks(spread(best, self.rank, self.ranks))
    self.id.copy_(best[:, 1].gather(0, best[:, 0].argmax(dim=0, keepdim=True)).long())
    return logits


def config_part(config, count):
    return dataclasses.replace(
        config,
        heads=config.heads // count,
        kv_heads=config.kv_heads // count,
        ffn_size=config.ffn_size // count,
        vocabulary=config.vocabulary // count,
    )


def split(model, rank, ranks):
    """Turns a Llama of a config_part into this rank's part of the whole."""
    model.rank = model.embedding.rank = rank
    model.ranks = ranks
    for layer in model.layers:
        layer.attention.wo.__class__ = layer.ffn.down.__class__ = Summed
    model.embedding.__class__ = SplitEmbedding
    model.choose = choose.__get__(model)


def tensor_part(name, values, rank, count):
    """What a rank has of a whole tensor: rows, of matrices that end in a sum columns."""
    if values.dim() == 1:
        return values
    dim = 1 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0
    size = values.shape[dim] // count
    return values.narrow(dim, rank * size, size)


def all_logits(model, logits):
    """[1, vocabulary] of the whole, from each rank's part."""
    return sum_ranks(spread(logits[0], model.rank, model.ranks)).reshape(1, -1)


def agree(held):
    """What all ranks hold, by rank. held["model"] has to be the same. From now on a rank that does
    not come is missed soon."""
    all_held = [None] * dist.get_world_size()
    dist.all_gather_object(all_held, held)
    for rank, other in enumerate(all_held):
        if other["model"] != all_held[0]["model"]:
            what = f"rank {rank} of {len(all_held)} has another model than rank 0"
            raise Failure("bad_model", what, "Was it written while it was read?")
    Group.tokens = dist.new_group(timeout=datetime.timedelta(seconds=PATIENCE_S))
    return all_held


def meeting():
    """A file that does not exist yet, through which ranks find each other."""
    return os.path.join(os.environ["PRONY_ENGINE_SCRATCH"], f"ranks-{time.monotonic_ns()}")


def join(rank, count, meeting, device):
    if device.type == "cpu":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the ranks are on one machine
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=count,
        timeout=datetime.timedelta(seconds=LOAD_PATIENCE_S),
    )


class Team:
    """Rank 0's hold on the others."""

    def __init__(self, count):
        program = [sys.executable, os.path.abspath(sys.argv[0]), "rank"]
        self.others = [
            subprocess.Popen([*program, str(rank)], stdin=subprocess.PIPE)
            for rank in range(1, count)
        ]

    def order(self, what, *words):
        line = json.dumps([what, *words]).encode() + b"\n"
        for other in self.others:
            try:
                other.stdin.write(line)
                other.stdin.flush()
            except BrokenPipeError:
                raise RuntimeError("a rank does not listen any more") from None

    def culprits(self):
        """The ranks that are to blame for an exchange that failed. One that waits in vain ends, so
        after a while only those that hang are left; one that was killed shows its signal."""
        end = time.monotonic() + 5
        killed = []
        while not killed and time.monotonic() < end:
            time.sleep(0.05)
            codes = [other.poll() for other in self.others]
            killed = [
                f"rank {rank} of {len(codes) + 1} was killed by signal {-code}"
                for rank, code in enumerate(codes, 1)
                if code is not None and code < 0
            ]
        hanging = [
            f"rank {rank} of {len(codes) + 1} did not come to an exchange for {PATIENCE_S} s"
            for rank, code in enumerate(codes, 1)
            if code is None
        ]
        return killed or hanging

    def fail(self, problem):
        """Ends all of it: the group cannot go on without one of them."""
        culprits = self.culprits()
        self.kill()
        print(problem, file=sys.stderr)
        print("Error:", "; ".join(culprits) or f"an exchange failed: {problem}", file=sys.stderr)
        os._exit(1)

    def kill(self):
        for other in self.others:
            other.kill()
            other.wait()

    def close(self):
        """Lets them end."""
        for other in self.others:
            other.stdin.close()
        for other in self.others:
            try:
                other.wait(5)
            except subprocess.TimeoutExpired:
                other.kill()
                other.wait()


def follow(engine, rank):
    """The life of a rank other than 0."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with rank 0
    if os.getppid() == 1:
        return
    for line in sys.stdin:
        what, *words = json.loads(line)
        getattr(engine, "follow_" + what)(rank, *words)


def check(config, request, device):
    """What the host has seen to for a model that it knows."""
    count = request.shard
    sizes = config.heads, config.kv_heads, config.ffn_size, config.vocabulary
    if any(size % count for size in sizes):
        raise Failure("unsupported", f"the model does not split into {count} parts: {sizes}")
    devices = torch.cuda.device_count() if device.type == "cuda" else request.threads or count
    if devices < count:
        raise Failure("unsupported", f"there are {devices} devices for {count} parts")
