"""Token ids against tiktoken and llama3-tokenizer-js (Llama 3), and Hugging Face's tokenizers
(SmolLM2, GPT-2)."""

import contextlib
import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unicodedata
import unittest
from pathlib import Path

import gguf
import oracles
import tiktoken
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

SOURCE = Path(__file__).resolve().parents[2]
PARSE_SPECIAL = 2
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4

# As in facts of the model's own release: what tiktoken is given.
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TEXTS = [
    "",
    "Hello, world! It's 2024-11-23, isn't it? WE'LL SEE, THEY'RE I'D 'VE'S 'ſ",
    "国破山河在，城春草木深。感時花濺淚，恨別鳥驚心。「こんにちは」안녕하세요 세계",
    "في البداية كانت الكلمة، والكلمة كانت عند الله ١٢٣٤٥٦٧ ﷽ ـــ",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता १२३४ क्ष्म्य",
    "Все люди рождаются свободными и равными. Ὅμηρος ἄνδρα μοι ἔννεπε. עברית קשה שפה",
    "👩‍👩‍👧‍👦 👨🏽‍💻 🏳️‍🌈 🇩🇪🇫🇷 ☺️ 1️⃣2️⃣ e\u0301o\u0308 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L",
    "a\u00a0b\u2003c\u3000d\u180ee\u200bf\u0085g\u2028h\u2029i\u202fj\u205fk\ufeffl\x1cm\x0bn\x0co",
    "   leading, trailing   \n\n\n   \t\t mixed \r\n\r\n \r \n end   ",
    "1 12 123 1234 12345 123456 1234567  12 ½ ² Ⅷ ㊿ ๑๒๓ 𝟘𝟙𝟚 1,234.56e-7",
    "for (int i = 0; i < n; ++i) {\n\tif (a[i] != b[i]) return -1; // différent\n}\n\n\n",
    "<|im_start|>user\n<|eot_id|>text<|end_of_text|><|begin_of_text|><|im_end|>",
    "https://example.org/a_b-c?d=e&f=%20#g C:\\Users\\x ~/.cache $HOME @user #tag",
    "ABCdefGHI aaaAAA ÀÉÎõü ŒœŠš ǅǈ ﬁ ß ẞ İı K Å ſtſ't'T'S'Re'LL",
    "x" * 300 + " " * 300 + "\n" * 300 + "-" * 300 + "ab" * 300 + "0" * 300,
]


def corpus(alphabet):
    """Texts of every kind; alphabet: the characters that random ones are made of."""
    rng = random.Random(20241123)
    texts = list(TEXTS)
    for path in sorted((SOURCE / "src").glob("*/*.[ch]"))[:60]:
        texts.append(path.read_text(encoding="utf-8"))
    for name in ("random", "unittest.case", "tempfile"):
        texts.append(Path(sys.modules[name].__file__).read_text(encoding="utf-8"))
    words = [word for text in TEXTS for word in text.split(" ")]
    spaces = [" ", "  ", "\n", "\r\n", "\t", " \n ", "\u00a0", "\u3000", "   ", "\n\n"]
    runs = ["a", "-", "=", "*", " ", "\n", "\r\n", "\t", "1", "中", "😀", "'s", "ab", ". "]
    for _ in range(3000):
        texts.append("".join(rng.choices(alphabet, k=rng.randint(1, 40))))
    for _ in range(1500):
        spaced = (rng.choice(words) + rng.choice(spaces) for _ in range(rng.randint(1, 12)))
        texts.append("".join(spaced))
        texts.append("".join(rng.choice(runs) * rng.randint(1, 80) for _ in range(6)))
    for _ in range(3000):
        texts.append("".join(rng.choices("etaoinshrdluETAOIN '\n1", k=rng.randint(1, 30))))
    for _ in range(500):
        texts.append("".join(rng.choices("ab", k=rng.randint(49, 400))))
    texts += ["a" * length for length in range(1, 200)]
    texts += ["a" * 1_000_000, " " * 100_000 + "x", "\n" * 100_000 + "x", "1" * 100_000]
    return texts


def characters():
    """What this Python's Unicode assigns: libraries differ in what came later."""
    skipped = ("Cn", "Cs", "Co")
    return [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in skipped]


def byte_alphabet():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {b: chr(256 + i) for i, b in enumerate(moved)}


ALPHABET = byte_alphabet()


def spell(token):
    """A token's bytes in the byte alphabet."""
    return "".join(ALPHABET[byte] for byte in token)


def tokenize(model, texts, flags=0):
    """Prony's ids of texts (str or bytes); None for one that cannot be encoded."""
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    given = b"".join(struct.pack("=II", flags, len(text)) + text for text in texts)
    command = [oracles.BUILD / "tests" / "tools" / "tokenize", model]
    result = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout
    values = memoryview(result).cast("I")
    at, lists = 0, []
    while at < len(values):
        count = values[at]
        failed = count == 0xFFFFFFFF
        lists.append(None if failed else values[at + 1 : at + 1 + count].tolist())
        at += 1 if failed else 1 + count
    return lists


def write_gguf(path, pre, tokens, types, merges, bos, eos):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def merges_of_ranks(ranks):
    """All ways to join two tokens to a third, in the order of the third's rank."""
    merges = []
    for token, rank in ranks.items():
        splits = [(token[:i], token[i:]) for i in range(1, len(token))]
        known = [(ranks[a], ranks[b], a, b) for a, b in splits if a in ranks and b in ranks]
        merges += [(rank, *split) for split in sorted(known)]
    merges.sort(key=lambda merge: merge[0])
    return [f"{spell(a)} {spell(b)}" for _, _, _, a, b in merges]


class Comparison(unittest.TestCase):
    def assert_same(self, texts, expected, found):
        for text, theirs, ours in zip(texts, expected, found, strict=True):
            if theirs != ours:
                self.fail(f"{text[:200]!r}: expected {theirs[:50]}, found {ours and ours[:50]}")

    @classmethod
    def setUpClass(cls):
        cls.path = Path(cls.enterClassContext(tempfile.TemporaryDirectory())) / "model.gguf"


class Llama3(Comparison):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ranks = dict(oracles.llama3_ranks())
        names = cls.special_names()
        cls.special = {name: len(cls.ranks) + i for i, name in enumerate(names)}
        cls.oracle = tiktoken.Encoding(
            "llama3",
            pat_str=LLAMA3_PATTERN,
            mergeable_ranks=cls.ranks,
            special_tokens=cls.special,
        )
        cls.write_model(names)

    @classmethod
    def special_names(cls):
        names = ["<|begin_of_text|>", "<|end_of_text|>"]
        return names + [f"<|reserved_special_token_{i}|>" for i in range(253)] + ["<|eot_id|>"]

    @classmethod
    def write_model(cls, names):
        tokens = [spell(token) for token in cls.ranks] + names
        types = [NORMAL] * len(cls.ranks) + [CONTROL] * len(names)
        begin, end = cls.special["<|begin_of_text|>"], cls.special["<|end_of_text|>"]
        write_gguf(cls.path, "llama-bpe", tokens, types, merges_of_ranks(cls.ranks), begin, end)

    def test_ids_are_those_of_tiktoken(self):
        self.assertEqual(list(self.ranks.values()), list(range(128000)))
        rng = random.Random(7)
        known = list(self.ranks)
        texts = corpus(characters())
        for _ in range(5000):
            joined = b"".join(rng.choices(known, k=rng.randint(1, 6)))
            texts.append(joined.decode("utf-8", "ignore"))
        expected = [self.oracle.encode_ordinary(text) for text in texts]
        self.assert_same(texts, expected, tokenize(self.path, texts))

    def test_tokens_as_texts(self):
        texts = []
        for token in self.ranks:
            with contextlib.suppress(UnicodeDecodeError):
                texts.append(token.decode())
        self.assertGreater(len(texts), 120000)
        expected = [self.oracle.encode_ordinary(text) for text in texts]
        self.assert_same(texts, expected, tokenize(self.path, texts))

    def test_special_tokens_are_parsed_when_asked(self):
        rng = random.Random(3)
        parts = [*list(self.special)[:6], "<|eot_id|>", "<|eot_id", "|>", "<|", "text", " ", "\n"]
        texts = ["".join(rng.choices(parts, k=rng.randint(1, 12))) for _ in range(2000)]
        parsed = [self.oracle.encode(text, allowed_special="all") for text in texts]
        plain = [self.oracle.encode_ordinary(text) for text in texts]
        self.assert_same(texts, parsed, tokenize(self.path, texts, PARSE_SPECIAL))
        self.assert_same(texts, plain, tokenize(self.path, texts))

    def test_invalid_utf8_is_bytes_between_texts(self):
        rng = random.Random(5)
        bad = [b"\xff", b"\xc3", b"\xe4\xb8", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\x80"]
        texts, expected = [], []
        for _ in range(2000):
            text, ids = b"", []
            for _ in range(rng.randint(1, 5)):
                valid = "".join(rng.choices("ab 世\n1é's", k=rng.randint(1, 8)))
                invalid = rng.choice(bad)
                text += valid.encode() + invalid
                ids += self.oracle.encode_ordinary(valid)
                ids += [self.ranks[bytes([byte])] for byte in invalid]
            texts.append(text)
            expected.append(ids)
        self.assert_same(texts, expected, tokenize(self.path, texts))


class Llama3File(Llama3):
    """The same of tokenizer.model itself, as Llama's own package has it."""

    @classmethod
    def special_names(cls):
        names = ["begin_of_text", "end_of_text", *(f"reserved_special_token_{i}" for i in (0, 1))]
        names += ["finetune_right_pad_id", "step_id", "start_header_id", "end_header_id"]
        names += ["eom_id", "eot_id", "python_tag", "image"]
        names += [f"reserved_special_token_{i}" for i in range(2, 246)]
        return [f"<|{name}|>" for name in names]

    @classmethod
    def write_model(cls, names):
        assert len(names) == 256
        cls.path = oracles.llama3_tokenizer()

    def test_special_tokens_are_at_their_ids(self):
        self.assertEqual(self.special["<|eot_id|>"], 128009)
        names = list(self.special)
        found = tokenize(self.path, names, PARSE_SPECIAL)
        self.assertEqual(found, [[128000 + i] for i in range(256)])

    def test_ids_are_those_of_llama3_tokenizer_js(self):
        # It always takes control tokens, and cannot have what is no UTF-8.
        texts = [text for text in corpus(characters()) if "<|" not in text]
        given = json.dumps(texts).encode()
        expected = json.loads(oracles.node("llama3_tokenizer.mjs", given=given))
        self.assert_same(texts, expected, tokenize(self.path, texts))

    def test_a_folder_without_tokenizer_json(self):
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
        shape |= {"num_attention_heads": 2, "rms_norm_eps": 1e-5, "model_type": "llama"}
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        shutil.copy(self.path, folder)
        config = folder / "config.json"
        config.write_text(json.dumps(shape | {"vocab_size": 128256}))
        expected = [self.oracle.encode_ordinary(text) for text in TEXTS]
        self.assert_same(TEXTS, expected, tokenize(config, TEXTS))
        config.write_text(json.dumps(shape | {"vocab_size": 128000}))
        with self.assertRaises(subprocess.CalledProcessError):
            tokenize(config, ["a"])


class SmolLM2(Comparison):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        fields = gguf.GGUFReader(oracles.REAL_MODEL).fields
        cls.tokens = fields["tokenizer.ggml.tokens"].contents()
        cls.types = fields["tokenizer.ggml.token_type"].contents()
        cls.merges = fields["tokenizer.ggml.merges"].contents()
        known = set(cls.tokens)
        cls.missing = {byte for byte in range(256) if ALPHABET[byte] not in known}

    def oracle(self, pre_tokenizer):
        vocabulary = {token: i for i, token in enumerate(self.tokens)}
        merges = [tuple(merge.split(" ")) for merge in self.merges]
        tokenizer = Tokenizer(models.BPE(vocabulary, merges))
        tokenizer.pre_tokenizer = pre_tokenizer
        return tokenizer

    def compare(self, model, tokenizer, texts, flags=0):
        texts = [text for text in texts if not self.missing & set(text.encode())]
        found = tokenize(model, texts, flags)
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        self.assert_same(texts, [encoding.ids for encoding in encoded], found)
        return len(texts)

    def texts(self):
        usable = [c for c in characters() if not self.missing & set(c.encode())]
        return corpus(usable)

    def smollm(self):
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        return self.oracle(pre_tokenizers.Sequence([digits, byte_level]))

    def test_smollm_ids_are_those_of_tokenizers(self):
        compared = self.compare(oracles.REAL_MODEL, self.smollm(), self.texts())
        self.assertGreater(compared, 9000)

    def test_gpt2_ids_are_those_of_tokenizers(self):
        write_gguf(self.path, "gpt2", self.tokens, self.types, self.merges, 1, 2)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        compared = self.compare(self.path, self.oracle(byte_level), self.texts())
        self.assertGreater(compared, 9000)

    def special(self):
        """The vocabulary's control tokens, and texts made of them and of parts of them."""
        rng = random.Random(3)
        special = [t for t, kind in zip(self.tokens, self.types, strict=True) if kind == CONTROL]
        parts = [*special, "<|im_start", "|>", "user", "\n", " ", "12"]
        texts = ["".join(rng.choices(parts, k=rng.randint(1, 12))) for _ in range(2000)]
        return special, texts

    def test_special_tokens_are_parsed_when_asked(self):
        special, texts = self.special()
        tokenizer = self.smollm()
        tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
        self.compare(oracles.REAL_MODEL, tokenizer, texts, PARSE_SPECIAL)

    def test_user_defined_tokens_are_always_found(self):
        special, texts = self.special()
        tokenizer = self.smollm()
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in special])
        types = [USER_DEFINED if kind == CONTROL else kind for kind in self.types]
        write_gguf(self.path, "smollm", self.tokens, types, self.merges, 1, 2)
        self.compare(self.path, tokenizer, texts)

    def test_a_byte_without_a_token_is_refused(self):
        texts = [bytes([byte]) for byte in range(256)]
        found = tokenize(oracles.REAL_MODEL, texts)
        refused = {byte for byte in range(256) if found[byte] is None}
        self.assertEqual(refused, self.missing)


if __name__ == "__main__":
    unittest.main(verbosity=2)
