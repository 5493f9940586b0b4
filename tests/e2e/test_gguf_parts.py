"""A GGUF in parts wherever a model is taken: what comes of it is what comes of the whole file."""

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

from command import model_make, prony
from engine_folder import WORKER, engine_write
from gguf_parts import cut

BUILD = Path(os.environ["PRONY_BUILD"])
COUNT = 4


class Parts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory())).resolve()
        cls.whole = model_make(cls.root / "tiny.gguf")
        cls.parts = cut(cls.whole, cls.root / "parts", COUNT)
        cls.folder = cls.root / "parts"
        # The null engine, which says that it reads whole GGUF files alone.
        engine_write(cls.root / "engines", "whole", [str(WORKER)], formats=["gguf"])

    def run_well(self, *words, **environment):
        environment = {
            "PRONY_CACHE": str(self.root / "cache"),
            "PRONY_STORE": str(self.root / "store.db"),
            "PRONY_ENGINE_PATH": f"{self.root / 'engines'}:{BUILD / 'engines'}",
            **environment,
        }
        done = prony(*words, **environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def damaged(self):
        """The parts in a folder of their own, to be broken."""
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return folder

    def assert_refused(self, path, what, file):
        for words in (
            ("model", "verify", path),
            ("bench", "--model-path", path, "--framework", "native-f32", "--dry-run"),
            ("--model", path, "--prompt", "hi"),
        ):
            done = prony(*words)
            self.assertEqual(done.returncode, 1, words)
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(what, done.stderr)
            self.assertIn(str(file), done.stderr)

    def test_the_commands_for_models_tell_the_same(self):
        def facts(path):
            told = json.loads(self.run_well("model", "inspect", path, "--json", "--tensors"))
            return {key: told[key] for key in told.keys() - {"path", "weights"}}

        whole = facts(self.whole)
        self.assertEqual(whole.pop("files"), 1)
        for path in (self.folder, *self.parts):
            parts = facts(path)
            self.assertEqual(parts.pop("files"), COUNT)
            self.assertEqual(parts, whole)
            self.run_well("model", "verify", path)
        self.assertIn(f"GGUF in {COUNT} files", self.run_well("model", "inspect", self.folder))
        words = ("--text", "hello, world")
        self.assertEqual(
            self.run_well("model", "tokenize", self.parts[2], *words),
            self.run_well("model", "tokenize", self.whole, *words),
        )

    def test_what_is_converted_is_the_same(self):
        copies = [self.root / name for name in ("of-whole", "of-parts")]
        joined = [self.root / name for name in ("whole-again.gguf", "joined.gguf")]
        for source, copy, file in zip((self.whole, self.parts[1]), copies, joined, strict=True):
            self.run_well("model", "convert", source, "--output", copy)
            self.run_well("model", "convert", source, "--output", file)
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            self.assertEqual(*((copy / name).read_bytes() for copy in copies), name)
        self.assertEqual(*(file.read_bytes() for file in joined))

    def test_engines_answer_the_same(self):
        words = ("--prompt", "hello", "--temperature", 0, "--max-tokens", 8)
        answers = [
            self.run_well("--model", path, "--chat-template", "llama3", *words)
            for path in (self.whole, self.folder, self.parts[3])
        ]
        self.assertEqual(answers, answers[:1] * 3)
        self.run_well("engines", "run", "native-f16", "--model", self.folder)
        self.run_well("engines", "check", "native", "--no-forms", "--model", self.folder)

    def test_bench_compares_them_and_says_who_cannot(self):
        result = self.root / "result.json"
        told = self.run_well(
            *("bench", "--model-path", self.folder, "--framework", "native-f32", "whole"),
            *("--quick", "--iterations", 4, "--output", result),
        )
        told = " ".join(told.split())
        self.assertIn("it does not read GGUF in parts; join them: prony model convert", told)
        rows = json.loads(result.read_text())["results"]
        row = next(row for row in rows if row["framework"] == "native-f32")
        self.assertEqual(row["equivalence"]["verdict"], "equivalent")

    def test_a_part_that_is_missing(self):
        folder = self.damaged()
        for number in (2, 1):
            part = folder / self.parts[number - 1].name
            part.unlink()
            self.assert_refused(folder, f"part {number} of the model's 4 is missing", part)

    def test_a_part_that_is_cut_short(self):
        folder = self.damaged()
        part = folder / self.parts[2].name
        os.truncate(part, part.stat().st_size // 2)
        self.assert_refused(folder, "beyond the end of the data", part)

    def test_a_part_of_another_model(self):
        folder = self.damaged()
        part = folder / self.parts[1].name
        other = self.root / "other.gguf"
        self.run_well("model", "make", "--size", "tiny", "--layers", 3, "--output", other)
        shutil.copy(cut(other, self.root / "other", COUNT)[1], part)
        self.assert_refused(folder, "a part of a model of 30 tensors", part)

    def test_links_to_files_of_other_names(self):
        folder, blobs = self.root / "links", self.damaged()
        folder.mkdir()
        for i, part in enumerate(self.parts):
            (blobs / part.name).rename(blobs / f"blob{i}")
            (folder / part.name).symlink_to(blobs / f"blob{i}")
        for path in (folder, folder / self.parts[0].name):
            self.run_well("engines", "run", "native-f16", "--model", path)


if __name__ == "__main__":
    unittest.main()
