"""Choosing an id from logits, for engines that have no sampler of their own. Needs numpy."""

import numpy as np

STEP = np.uint64(0x9E3779B97F4A7C15)


def numbers(states):
    """Those of splitmix64, of an array of its states."""
    states = (states ^ states >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ states >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return states ^ states >> np.uint64(31)


class Sampler:
    """Temperature, then min-p, top-k and top-p: what the native engine does (src/llama/sample.c).
    The same seed gives the same ids."""

    def __init__(self, sampling):
        self.sampling = sampling
        self.state = np.array([sampling.seed % (1 << 64)], np.uint64)

    def number(self):
        """The next one of the seed, in an array."""
        self.state = self.state + STEP
        return numbers(self.state)

    def choose(self, logits):
        """An id, from logits [vocabulary]."""
        limits = self.sampling
        logits = np.asarray(logits, np.float64)
        if limits.top_k or limits.top_p < 1 or limits.min_p > 0:
            return self.cut(logits)
        return int(np.argmax(logits + limits.temperature * self.noise(len(logits))))

    def noise(self, count):
        """Gumbel's, of each id (src/llama/draw.h)."""
        ids = np.arange(1, count + 1, dtype=np.uint64)
        bits = numbers(self.number() + ids * STEP) >> np.uint64(32)
        return -np.log(-np.log1p(-(bits + 0.5) / (1 << 32)))

    def cut(self, logits):
        """An id of those that the limits leave."""
        limits = self.sampling
        shares = np.exp((logits - logits.max()) / limits.temperature)  # the best: 1
        ids = np.flatnonzero(shares >= limits.min_p)
        if len(ids) == 0:  # min_p above 1
            return 0
        if limits.top_k or limits.top_p < 1:
            ids = ids[np.argsort(-shares[ids], kind="stable")]  # the lower id on ties
            ids = ids[: limits.top_k or None]
            sums = np.cumsum(shares[ids])
            ids = ids[: int(np.searchsorted(sums, limits.top_p * sums[-1])) + 1]
        sums = np.cumsum(shares[ids])
        uniform = int(self.number()[0] >> np.uint64(11)) / (1 << 53)
        place = np.searchsorted(sums, uniform * sums[-1], side="right")
        return int(ids[min(int(place), len(ids) - 1)])
