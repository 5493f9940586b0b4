"""Choosing an id from logits, for engines that have no sampler of their own. Needs numpy."""

import numpy as np


class Sampler:
    """Temperature, then min-p, top-k and top-p: what the native engine does (src/llama/sample.c)."""

    def __init__(self, sampling):
        self.sampling = sampling
        self.state = sampling.seed

    def uniform(self):
        """In [0, 1) (splitmix64): the same seed gives the same ids."""
        mask = (1 << 64) - 1
        self.state = self.state + 0x9E3779B97F4A7C15 & mask
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        return ((z ^ z >> 31) >> 11) / (1 << 53)

    def choose(self, logits):
        """An id, from logits [vocabulary]."""
        limits = self.sampling
        scaled = np.asarray(logits, np.float64)
        shares = np.exp((scaled - scaled.max()) / limits.temperature)  # the best: 1
        ids = np.flatnonzero(shares >= limits.min_p)
        if len(ids) == 0:  # min_p above 1
            return 0
        if limits.top_k or limits.top_p < 1:
            ids = ids[np.argsort(-shares[ids], kind="stable")]  # the lower id on ties
            ids = ids[: limits.top_k or None]
            sums = np.cumsum(shares[ids])
            ids = ids[: int(np.searchsorted(sums, limits.top_p * sums[-1])) + 1]
        sums = np.cumsum(shares[ids])
        place = np.searchsorted(sums, self.uniform() * sums[-1], side="right")
        return int(ids[min(int(place), len(ids) - 1)])
