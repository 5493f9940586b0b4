"""Ids and their text, from a model's vocabulary as /api/show tells it."""

import collections
import re

from prony_worker import Failure

NORMAL, UNUSED = 1, 5  # kinds of tokens in GGUF
SPELT = (NORMAL, UNUSED)  # in the byte alphabet; others, such as <|im_end|>, as they are
# Pre-tokenizers whose models begin with bos where the file does not say.
WITH_BOS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral")

# The last byte of a piece and the first two of the next: a letter and what is none (nor the ' of 's), or
# anything and a space with a letter.
WORD_END = re.compile(rb"[A-Za-z][\x00-&(-@[-`{-~].?|[!-~] [A-Za-z]", re.DOTALL)


def byte_alphabet():
    """GPT-2's characters for bytes: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {
        **{chr(byte): byte for byte in plain},
        **{chr(256 + place): byte for place, byte in enumerate(others)},
    }


class Vocabulary:
    def __init__(self, info):
        """info: "model_info" of /api/show, verbose."""
        model = info.get("tokenizer.ggml.model")
        if model != "gpt2":
            raise Failure(
                "unsupported",
                f'Ollama takes text, and this worker makes none of the ids of a "{model}" tokenizer',
                'It knows byte-level BPE ("gpt2").',
            )
        tokens = info["tokenizer.ggml.tokens"]
        kinds = info.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
        alphabet = byte_alphabet()
        self.pieces = [
            bytes(map(alphabet.__getitem__, token)) if kind in SPELT else token.encode()
            for token, kind in zip(tokens, kinds)
        ]
        self.numbers = {piece: i for i, piece in reversed(list(enumerate(self.pieces)))}
        self.shared = {piece for piece, n in collections.Counter(self.pieces).items() if n > 1}
        self.longest = max(map(len, self.pieces))
        self.bos = info.get("tokenizer.ggml.bos_token_id")
        self.eos = info.get("tokenizer.ggml.eos_token_id")
        pre = info.get("tokenizer.ggml.pre")
        self.adds_bos = info.get("tokenizer.ggml.add_bos_token", pre in WITH_BOS)

    def text(self, ids):
        """What Ollama makes these ids of, where that can be: it puts bos first by itself."""
        if self.adds_bos:
            if ids[0] != self.bos:
                raise Failure(
                    "unsupported",
                    f"Ollama begins every prompt of this model with id {self.bos}, and this one "
                    f"begins with {ids[0]}",
                )
            ids = ids[1:]
        try:
            return b"".join(self.pieces[i] for i in ids).decode()
        except UnicodeDecodeError:
            raise Failure(
                "unsupported", "Ollama takes text, and the prompt's ids are none"
            ) from None

    def word_ends(self, ids):
        """After how many ids a word ends. Tokenizers join nothing across that, so that the text up to
        there is made into the same ids again."""
        pieces = [self.pieces[i] for i in ids]
        return [
            end
            for end in range(1 + self.adds_bos, len(ids))
            if WORD_END.fullmatch(pieces[end - 1][-1:] + pieces[end][:2])
        ]

    def number(self, text):
        """The id of a token by its text, None where that may be several's: bytes that are no whole
        character come as U+FFFD, NUL as nothing."""
        if not text or "\ufffd" in text:
            return None
        data = text.encode()
        if data not in self.numbers:
            raise Failure(
                "failed", f"Ollama names a token {text[:40]!r}, which the model does not have"
            )
        return None if data in self.shared else self.numbers[data]

    def ids(self, text):
        """Of a chunk of an answer: nearly always one. Of several ways, the fewest ids."""
        data = text.encode()
        if data in self.numbers:
            return [self.numbers[data]]
        ways = [[]]  # to each place of data, None where no way leads
        for end in range(1, len(data) + 1):
            starts = range(max(0, end - self.longest), end)
            known = [(s, self.numbers.get(data[s:end])) for s in starts if ways[s] is not None]
            found = [[*ways[s], number] for s, number in known if number is not None]
            ways.append(min(found, key=len, default=None))
        if ways[-1] is None:
            raise Failure("failed", f"Ollama's answer has text that no ids make: {text[:40]!r}")
        return ways[-1]
