"""A GGUF among engines of which one reads safetensors alone: it gets a copy, made once."""

import json
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from copy_case import ENGINE, CopyCase


class Copy(CopyCase):
    def test_is_made_once_and_told(self):
        result = self.root / "result.json"
        for _ in range(2):
            done = self.bench("--output", result)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            told = " ".join(done.stdout.split())
            self.assertIn(f"{ENGINE} does not read this GGUF: it loaded a copy", told)
            (row,) = json.loads(result.read_text())["results"]
            self.assertTrue(row["detail"].startswith("from a copy in safetensors; "), row["detail"])
            self.assertEqual(row["equivalence"]["verdict"], "equivalent")
            (copy,) = self.copies("cache")
            made = (copy / "model.safetensors").stat()
            self.assertEqual(getattr(self, "made", made), made)
            self.made = made

    def test_the_plan_names_it_and_makes_nothing(self):
        done = self.bench("--dry-run", cache="dry")
        self.assertIn(f"Loads a copy in safetensors: {self.root}/dry/converted/", done.stdout)
        self.assertEqual(self.copies("dry"), [])

    def test_what_was_broken_off_is_begun_anew(self):
        done = self.bench("--dry-run", cache="part")
        path = Path(done.stdout.partition("Loads a copy in safetensors: ")[2].splitlines()[0])
        part = path.with_name(path.name + ".part")
        part.mkdir(parents=True)
        (part / "model.safetensors").write_bytes(b"half")
        self.assertEqual(self.bench(cache="part").returncode, 0)
        self.assertEqual(self.copies("part"), [path])

    def test_three_at_once_make_one(self):
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(self.bench, cache="shared") for _ in range(3)]
            done = [run.result() for run in runs]
        for run in done:
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(len(self.copies("shared")), 1)
        self.assertEqual(sum("Converting to safetensors, once" in run.stderr for run in done), 1)

    def test_where_it_cannot_be_written(self):
        (self.root / "full").mkdir()
        (self.root / "full/converted").write_text("no folder")
        done = self.bench(cache="full")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(f"{self.root}/full/converted", done.stderr)


if __name__ == "__main__":
    unittest.main()
