"""The llamacpp engine on the real library. It is built by `prony engines install llamacpp`, which is too
long for every run of the tests: without it these are skipped."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from gguf_parts import cut
from worker_host import Host

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])
NATIVE = Path(os.environ["PRONY_BUILD"], "engines/native")


def prony(*words, **more):
    return subprocess.run(
        [PRONY, *map(str, words)], capture_output=True, text=True, timeout=900, check=False, **more
    )


class Built(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def model(self, precision, size="tiny"):
        path = self.root / f"{size}.{precision}.gguf"
        result = prony("model", "make", "--size", size, "--precision", precision, "--output", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def test_keeps_to_the_protocol(self):
        result = prony("engines", "check", "llamacpp")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_computes_what_the_reference_does(self):
        for file, label in (("float32", "mixed"), ("float16", "float16"), ("bfloat16", "bfloat16")):
            output = self.root / "run.json"
            result = prony(
                *("bench", "--quick", "--iterations", "5", "--framework", "llamacpp"),
                *("--model-path", self.model(file), "--output", output),
                env={**os.environ, "PRONY_STORE": str(self.root / "store.db")},
            )
            told = result.stdout + result.stderr
            self.assertEqual(
                len(re.findall(r"equivalence +llamacpp\S* +equivalent", told)), 2, told
            )
            rows = json.loads(output.read_text())["results"]
            self.assertEqual({row["precision"] for row in rows}, {label})

    def test_parts_are_the_whole(self):
        whole = self.model("float32")
        first, *_ = cut(whole, self.root / "parts", 3)
        told = {
            path: prony("engines", "run", "llamacpp", "--model", path).stdout
            for path in (whole, first.parent)
        }
        ids = [re.findall(r"ms  id (\d+)", text) for text in told.values()]
        self.assertGreater(len(ids[0]), 4, told)
        self.assertEqual(*ids)
        self.assertIn("mixed", told[first.parent])

    def own_cache(self):
        """An environment in which what is kept goes with this test; what is installed is there."""
        cache = self.root / "cache"
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "prony")
        cache.mkdir()
        (cache / "engines").symlink_to(Path(os.environ.get("PRONY_CACHE") or usual, "engines"))
        return {
            **os.environ,
            "PRONY_CACHE": str(cache),
            "PRONY_STORE": str(self.root / "store.db"),
        }

    def test_q8_0(self):
        model, output = self.model("float32"), self.root / "quantised.json"
        result = prony(
            *("bench", "--quick", "--iterations", "5", "--framework", "llamacpp"),
            *("--quantize", "int8", "--model-path", model, "--output", output),
            env=self.own_cache(),
        )
        told = result.stdout + result.stderr
        rows = json.loads(output.read_text())["results"]
        self.assertEqual([row["framework"] for row in rows], ["llamacpp+q8_0", "llamacpp-fa+q8_0"])
        for row in rows:
            self.assertEqual((row["precision"], row["quantize"]), ("q8_0", "q8_0"))
            self.assertEqual(row["equivalence"]["verdict"], "equivalent", told)
            self.assertGreater(row["equivalence"]["kl_mean"], 0)
        kept = re.search(r"kept in (\S+\.gguf)", result.stderr)[1]
        self.assertIn("Q8_0", prony("model", "inspect", kept).stdout)
        self.same_as_the_scale(model, kept)

    def test_parts_as_q8_0_are_the_whole(self):
        """Of the whole file and of its parts the library makes the same."""
        whole, environment = self.model("float16"), self.own_cache()
        _, second, _ = cut(whole, self.root / "parts", 3)
        for path in (whole, second.parent, second):
            words = ("engines", "run", "llamacpp", "--quantize", "q8_0", "--model", path)
            told = prony(*words, env=environment)
            self.assertRegex(told.stdout, r"load .* q8_0, ", told.stderr)
        kept = (self.root / "cache/compiled").glob("llamacpp@*/q8_0-*.gguf")
        of_whole, of_parts = (path.read_bytes() for path in kept)
        self.assertEqual(of_whole, of_parts)

    def same_as_the_scale(self, model, kept):
        """What the gate's scale is taken of are the same weights, to the bit: rounding them again
        changes nothing."""
        found = []
        for path in (model, kept):
            worker = Host([str(NATIVE / "worker")], NATIVE, {})
            worker.ask("hello", protocol=1)
            worker.ask(
                "load", model=str(path), variant="native-f16", device="cpu", precision="",
                quantize="q8_0", shard=1, threads=1, context=64, options={},
            )  # fmt: skip
            logits = self.root / "logits"
            worker.ask("logits", ids=list(range(40, 80)), path=str(logits))
            found.append(logits.read_bytes())
            worker.close()
        self.assertEqual(len(found[0]), len(found[1]))
        self.assertEqual(found[0], found[1])

    def test_cut_file(self):
        model = self.model("float16")
        run = ("engines", "run", "llamacpp", "--model")
        whole = model.read_bytes()
        model.write_bytes(whole[:-1000])
        self.assertRegex(prony(*run, model).stderr, "Error: .*(bounds|beyond the end)")

    def test_answers_a_question(self):
        fetched = subprocess.run(
            [SOURCE / "scripts/fetch-model"], capture_output=True, text=True, check=True
        ).stdout.strip()
        model = self.root / "smollm2.gguf"
        prony("model", "convert", fetched, "--precision", "float16", "--output", model)
        answers = {
            prony(
                *("--framework", framework, "--model", model, "--prompt", "Who wrote Hamlet?"),
                *("--temperature", "0", "--max-tokens", "20"),
            ).stdout
            for framework in ("llamacpp", "llamacpp-fa", "native-f16")
        }
        self.assertEqual(len(answers), 1, answers)
        self.assertIn("Shakespeare", answers.pop())
        told = prony(
            *("--framework", "llamacpp", "--model", model, "--prompt", "Who wrote Hamlet?"),
            *("--temperature", "0", "--max-tokens", "20", "--quantize", "int8"),
            env=self.own_cache(),
        )
        self.assertIn("Shakespeare", told.stdout, told.stderr)
        self.assertIn("Note: llamacpp holds its weights as Q8_0", told.stderr)

        # More than any machine has, where the host has not looked.
        huge = ("--model", model, "--context", "90000000", "--no-memory-check")
        told = prony("engines", "run", "llamacpp", *huge).stderr
        self.assertRegex(told, r"KV cache of 90000000 positions takes \d{4}\.\d GB, .*--context")


if __name__ == "__main__":
    if prony("engines", "doctor", "llamacpp").returncode != 0:
        print("skipped: llamacpp is not installed. Run: prony engines install llamacpp")
        sys.exit(77)
    unittest.main()
