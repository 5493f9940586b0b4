"""tokenizer_peer.py RANKS TEXT: how fast tiktoken encodes a file with Llama 3's vocabulary.

perf/tokenizer starts it, by tests/oracle/run, which has tiktoken. Prints nanoseconds and ids.
"""

import base64
import sys
import time
from pathlib import Path

import tiktoken

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ROUNDS = 7


def main():
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    started = time.monotonic_ns()
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    peer = tiktoken.Encoding("llama3", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    opened = time.monotonic_ns() - started
    text = Path(sys.argv[2]).read_bytes().decode()  # read_text would change line ends
    best = None
    for _ in range(ROUNDS):
        started = time.monotonic_ns()
        ids = peer.encode_ordinary(text)
        took = time.monotonic_ns() - started
        best = took if best is None else min(best, took)
    print(opened, best, len(ids))


if __name__ == "__main__":
    main()
