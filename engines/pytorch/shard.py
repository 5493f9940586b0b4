"""A model split over processes, tensor parallel in the manner of Megatron-LM: torch.distributed, with
gloo on CPUs and NCCL on GPUs.

Rank 0 is the worker; it starts the others, which do what it orders over their standard input.
"""

import contextlib
import ctypes
import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from prony_worker import Failure
from torch import nn

PATIENCE_S = int(os.environ.get("PRONY_SHARD_TIMEOUT", "300"))  # one may still compile
LOAD_PATIENCE_S = 3600  # a model may be large, and its disk slow
exchanged = {"bytes": 0, "ns": 0}  # by this process so far


class Group:
    """Of all ranks: its name, as what is compiled calls it."""

    name = ""


@torch.library.custom_op("prony::timed_sum", mutates_args=())
def timed_sum(x: torch.Tensor) -> torch.Tensor:
    """Opaque to torch.compile, so that it can be timed."""
    start = time.monotonic_ns()
    x = x.clone()
    dist.all_reduce(x)
    exchanged["ns"] += time.monotonic_ns() - start
    return x


@timed_sum.register_fake
def _(x):
    return torch.empty_like(x)


def sum_ranks(x):
    """The sum over all ranks. A GPU's is an operator that torch.compile knows, and is recorded with the
    rest of a graph: nobody sees there how long it takes."""
    if not x.is_cuda:
        return timed_sum(x)
    total = torch.ops._c10d_functional.all_reduce(x, "sum", Group.name)
    return torch.ops._c10d_functional.wait_tensor(total)


def count_bytes(model, tokens, whole):
    """Notes what ranks exchange while tokens go through: sums of their states, twice in a layer and in
    the embedding, the best words, and all logits if they are asked for."""
    states = (2 * len(model.layers) + 1) * tokens * model.norm.weight.nbytes
    words = whole * 4 * model.ranks * model.embedding.words
    exchanged["bytes"] += states + model.ranks * 2 * 8 + words


class Summed(nn.Module):
    """Around a linear layer of which each rank has some input columns."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return sum_ranks(self.part(x))


class SplitEmbedding(nn.Module):
    """Around an embedding of which each rank has some words."""

    def __init__(self, part, rank, words):
        super().__init__()
        self.part, self.words, self.first = part, words, rank * words

    def forward(self, ids):
        local = ids - self.first
        mine = (local >= 0) & (local < self.words)
        return sum_ranks(self.part(local.where(mine, 0)) * mine[:, None])

    def multiply(self, x):
        return self.part.multiply(x)


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


def split(model, rank, ranks, words):
    """Turns a Llama of a config_part, with so many words, into this rank's part of the whole."""
    model.rank, model.ranks = rank, ranks
    for layer in model.layers:
        layer.attention.wo = Summed(layer.attention.wo)
        layer.ffn.down = Summed(layer.ffn.down)
    model.embedding = SplitEmbedding(model.embedding, rank, words)
    model.choose = choose.__get__(model)


def all_logits(model, logits):
    """[1, vocabulary] of the whole, from each rank's part."""
    return sum_ranks(spread(logits[0], model.rank, model.ranks)).reshape(1, -1)


def meeting():
    """A file that does not exist yet, through which ranks find each other."""
    return os.path.join(os.environ["PRONY_ENGINE_SCRATCH"], f"ranks-{time.monotonic_ns()}")


def join(held, rank, count, meeting, device):
    """What all ranks hold, by rank, as soon as each has its part; from then on they exchange, and one that
    does not come is missed soon. held["model"] has to be the same. They tell each other through a file,
    since with NCCL each group takes some of the cards' memory."""
    store = dist.FileStore(meeting, count)
    store.set_timeout(datetime.timedelta(seconds=LOAD_PATIENCE_S))
    store.set(f"held-{rank}", json.dumps(held))
    all_held = [json.loads(store.get(f"held-{other}")) for other in range(count)]
    for other, its in enumerate(all_held):
        if its["model"] != all_held[0]["model"]:
            what = f"rank {other} of {count} has another model than rank 0"
            raise Failure("bad_model", what, "Was it written while it was read?")
    on_gpu = device.type == "cuda"
    if not on_gpu:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # the ranks are on one machine
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=count,
        timeout=datetime.timedelta(seconds=PATIENCE_S),
        device_id=device if on_gpu else None,  # NCCL begins now, and not with the first token
    )
    Group.name = dist.group.WORLD.group_name
    return all_held


class Team:
    """Rank 0's hold on the others."""

    def __init__(self, count, on_gpu):
        program = [sys.executable, os.path.abspath(sys.argv[0]), "rank"]
        self.others = [
            subprocess.Popen([*program, str(rank)], stdin=subprocess.PIPE)
            for rank in range(1, count)
        ]
        self.on_gpu, self.loading, self.closed = on_gpu, True, False
        self.waiting_since, self.failing = None, threading.Lock()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self):
        """While a model is loaded all wait for one that has not joined, and on GPUs an exchange waits
        for ever for a rank that died or hangs, and nothing tells: a thread looks after them."""
        while not self.closed and (self.loading or self.on_gpu):
            time.sleep(0.2)
            since = self.waiting_since
            late = since is not None and time.monotonic() - since > PATIENCE_S
            gone = any(other.poll() is not None for other in self.others)
            if (late or gone) and not self.closed:
                self.fail("a rank has ended" if gone else "an exchange does not end")

    @contextlib.contextmanager
    def waiting(self):
        """What ranks compute together, to its end."""
        self.waiting_since = time.monotonic()
        yield
        self.waiting_since = None

    def order(self, what, *words):
        line = json.dumps([what, *words]).encode() + b"\n"
        for other in self.others:
            try:
                other.stdin.write(line)
                other.stdin.flush()
            except BrokenPipeError:
                raise RuntimeError("a rank does not listen any more") from None

    def culprits(self):
        """The ranks that are to blame for an exchange that failed. One that waits in vain ends, or
        when there is nobody to give it orders, so after a while only those that hang are left; one
        that was killed shows its signal. While a model is loaded, all wait for one that has ended."""
        self.hush()
        end = time.monotonic() + 5
        found = {}
        while not found and time.monotonic() < end:
            time.sleep(0.05)
            codes = {rank: other.poll() for rank, other in enumerate(self.others, 1)}
            found = {r: f"was killed by signal {-c}" for r, c in codes.items() if c and c < 0}
        if not found and self.loading:
            found = {r: f"ended with status {c}" for r, c in codes.items() if c is not None}
        elif not found:
            late = f"did not come to an exchange for {PATIENCE_S} s"
            found = {r: late for r, c in codes.items() if c is None}
        return [f"rank {rank} of {len(codes) + 1} {what}" for rank, what in found.items()]

    def fail(self, problem):
        """Ends all of it: the group cannot go on without one of them."""
        self.failing.acquire()  # once, whichever thread sees it first
        culprits = self.culprits()
        if self.closed:  # rank 0 has found the same, and answers
            return
        self.kill()
        print(problem, file=sys.stderr)
        print("Error:", "; ".join(culprits) or f"an exchange failed: {problem}", file=sys.stderr)
        os._exit(1)

    def kill(self):
        for other in self.others:
            other.kill()
            other.wait()

    def part(self):
        """Tells them to go."""
        self.closed = True
        with contextlib.suppress(RuntimeError, ValueError):  # one has failed to load, and gone
            self.order("part")
        self.hush()

    def hush(self):
        """No more orders."""
        for other in self.others:
            with contextlib.suppress(BrokenPipeError):
                other.stdin.close()

    def close(self):
        """Waits for their end; while a model is loaded one may wait for this rank, and not listen."""
        if self.loading:
            self.kill()
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
    os._exit(0)  # whatever a GPU is still waiting for
