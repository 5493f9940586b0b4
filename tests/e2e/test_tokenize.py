"""prony model tokenize: ids of texts, files and standard input, and what it refuses."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
TEXT = "Hello there, 世界 12345  isn't\n\n\tit? <|eot_id|>"


def prony(*arguments, data=b"", **options):
    command = [PRONY, "model", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=False, **options)


class Tokenize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.gguf, cls.safetensors = cls.folder / "tiny.gguf", cls.folder / "tiny"
        for path in (cls.gguf, cls.safetensors):
            result = prony("make", "--output", path)
            assert result.returncode == 0, result.stderr

    def ids(self, *arguments, data=b""):
        result = prony("tokenize", *arguments, data=data)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertTrue(result.stdout.endswith(b"\n"))
        return [int(id) for id in result.stdout.split()]

    def pieces(self, *arguments):
        result = prony("tokenize", self.gguf, "--json", *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        answer = json.loads(result.stdout)
        self.assertEqual(answer["count"], len(answer["ids"]))
        self.assertEqual([piece["id"] for piece in answer["pieces"]], answer["ids"])
        return answer["pieces"]

    def assert_error(self, result, *parts):
        self.assertEqual((result.returncode, result.stdout), (1, b""))
        text = result.stderr.decode()
        self.assertTrue(text.startswith("Error: ") and text.count("\n") == 1, text)
        for part in parts:
            self.assertIn(str(part), text)

    def patched(self, old, new):
        """A copy of the GGUF file in which bytes are replaced by as many others."""
        self.assertEqual(len(old), len(new))
        data = self.gguf.read_bytes()
        self.assertEqual(data.count(old), 1, old)
        path = self.folder / "patched.gguf"
        path.write_bytes(data.replace(old, new))
        return path

    def test_option_file_and_standard_input_give_the_same_ids(self):
        file = self.folder / "text"
        file.write_bytes(TEXT.encode())
        expected = self.ids(self.gguf, "--text", TEXT)
        self.assertGreater(len(expected), 10)
        self.assertEqual(self.ids(self.gguf, file), expected)
        self.assertEqual(self.ids(self.gguf, "-", data=TEXT.encode()), expected)

    def test_both_formats_give_the_same_ids(self):
        for options in ([], ["--special"], ["--bos", "--special"]):
            expected = self.ids(self.gguf, "--text", TEXT, *options)
            for model in (self.safetensors, self.safetensors / "model.safetensors"):
                self.assertEqual(self.ids(model, "--text", TEXT, *options), expected)

    def test_control_tokens_are_read_only_when_asked(self):
        plain = self.pieces("--text", "a<|eot_id|>")
        special = self.pieces("--text", "a<|eot_id|>", "--special")
        self.assertEqual([piece["text"] for piece in special], ["a", "<|eot_id|>"])
        self.assertNotIn(special[1]["id"], [piece["id"] for piece in plain])
        with_bos = self.pieces("--text", "a", "--bos")
        self.assertEqual([piece["text"] for piece in with_bos], ["<|begin_of_text|>", "a"])

    def test_pieces_are_the_bytes_of_the_text(self):
        file = self.folder / "bytes"
        every = bytes(range(256)) + TEXT.encode() + b"\xe4\xb8"
        file.write_bytes(every)
        pieces = self.pieces(file)
        joined = b"".join(
            piece["text"].encode() if "text" in piece else bytes.fromhex(piece["hex"])
            for piece in pieces
        )
        self.assertEqual(joined, every)

    def test_an_empty_text_has_no_ids(self):
        self.assertEqual(self.ids(self.gguf, "--text", ""), [])
        self.assertEqual(self.ids(self.gguf, "-"), [])

    def test_the_text_is_given_once(self):
        self.assert_error(prony("tokenize", self.gguf), "--text", "file")
        self.assert_error(prony("tokenize", self.gguf, "-", "--text", "a"), "--text")
        self.assert_error(prony("tokenize", self.gguf, self.folder / "none"), "none")

    def test_other_tokenisers_are_named(self):
        path = self.patched(b"\x09\0\0\0\0\0\0\0llama-bpe", b"\x09\0\0\0\0\0\0\0qwen2-bpe")
        self.assert_error(prony("tokenize", path, "--text", "a"), "qwen2-bpe", path)
        path = self.patched(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0bert")
        self.assert_error(prony("tokenize", path, "--text", "a"), "'bert'", path)
        path = self.patched(b"tokenizer.ggml.model", b"tokenizer.ggml.mode1")
        self.assert_error(prony("tokenize", path, "--text", "a"), "no tokeniser", path)
        path = self.patched(b"tokenizer.ggml.pre", b"tokenizer.ggml.prx")
        self.assert_error(prony("tokenize", path, "--text", "a"), "tokenizer.ggml.pre", path)
        path = self.patched(b"llama-bpe", b"\x1b[2Jxy\x1b[m")
        self.assert_error(prony("tokenize", path, "--text", "a"), "tokenizer.ggml.pre")

    def test_broken_vocabularies_are_refused(self):
        path = self.patched(b"tokenizer.ggml.merges", b"tokenizer.ggml.merge5")
        self.assert_error(prony("tokenize", path, "--text", "a"), "tokenizer.ggml.merges", path)
        data = self.gguf.read_bytes()
        at = data.index(b"tokenizer.ggml.bos_token_id") + len(b"tokenizer.ggml.bos_token_id") + 4
        path = self.folder / "patched.gguf"
        path.write_bytes(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :])
        self.assert_error(prony("tokenize", path, "--text", "a"), "bos", path)
        at = data.index(b"tokenizer.ggml.merges") + len(b"tokenizer.ggml.merges") + 4 + 4 + 8 + 8
        path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
        self.assert_error(prony("tokenize", path, "--text", "a"), "merge 0", path)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            for options in ([], ["--json"], ["--json", "--text", 5000 * TEXT[:20]]):
                command = [PRONY, "model", "tokenize", self.gguf, "--text", TEXT, *options]
                result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn(b"standard output", result.stderr)


if __name__ == "__main__":
    unittest.main()
