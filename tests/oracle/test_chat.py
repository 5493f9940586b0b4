"""Conversations as ids: the template filled in here, and encoded by somebody else's tokeniser."""

import unittest

import gguf
import oracles
import test_tokenizer
import tiktoken
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

CONTROL = 3
DEFAULT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

CONVERSATIONS = [
    [("user", "Hello!")],
    [("system", "Be brief."), ("user", "What is 12 + 30?")],
    [("user", " spaces  \n"), ("assistant", "I see."), ("user", "Größe, 国破山河在 👩‍👩‍👧")],
    [("system", "a\nb"), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")],
]


def ids_of(model, name, conversation):
    """Prony's ids."""
    parts = [part for message in conversation for part in message]
    return [int(word) for word in oracles.tool("chat", model, name, *parts).split()]


def chatml(conversation):
    if conversation[0][0] != "system":
        conversation = [("system", DEFAULT), *conversation]
    text = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in conversation)
    return text + ("<|im_start|>assistant\n" if conversation[-1][0] == "user" else "")


def llama3(conversation):
    header = "<|start_header_id|>{}<|end_header_id|>\n\n".format
    messages = (f"{header(role)}{text.strip()}<|eot_id|>" for role, text in conversation)
    last = header("assistant") if conversation[-1][0] == "user" else ""
    return "<|begin_of_text|>" + "".join(messages) + last


class SmolLM2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        fields = gguf.GGUFReader(oracles.REAL_MODEL).fields
        tokens = fields["tokenizer.ggml.tokens"].contents()
        types = fields["tokenizer.ggml.token_type"].contents()
        merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
        cls.oracle = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        cls.oracle.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
        special = [t for t, kind in zip(tokens, types, strict=True) if kind == CONTROL]
        cls.oracle.add_special_tokens([AddedToken(t, normalized=False) for t in special])

    def test_the_models_own_template(self):
        for conversation in CONVERSATIONS:
            expected = self.oracle.encode(chatml(conversation), add_special_tokens=False).ids
            self.assertEqual(ids_of(oracles.REAL_MODEL, "-", conversation), expected)

    def test_ids_written_out(self):
        found = ids_of(oracles.REAL_MODEL, "-", [("system", "<|im_end|>"), ("user", "Hi")])
        self.assertEqual([i for i in found if i < 17], [1, 2, 1, 2, 1])
        self.assertEqual(found[:3], [1, 9690, 198])


class Llama3(unittest.TestCase):
    def test_a_named_template_with_tokenizer_model(self):
        ranks = dict(oracles.llama3_ranks())
        special = {
            name: 128000 + i for i, name in enumerate(test_tokenizer.Llama3File.special_names())
        }
        oracle = tiktoken.Encoding(
            "llama3",
            pat_str=test_tokenizer.LLAMA3_PATTERN,
            mergeable_ranks=ranks,
            special_tokens=special,
        )
        for conversation in CONVERSATIONS:
            expected = oracle.encode(llama3(conversation), allowed_special="all")
            found = ids_of(oracles.llama3_tokenizer(), "llama3", conversation)
            self.assertEqual(found, expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
