"""Talking to an engine that reads safetensors alone, running and checking it, with a GGUF: the same copy
as prony bench makes, once for all."""

import fcntl
import os
import shutil
import signal
import subprocess
import unittest

from command import PRONY, prony
from copy_case import ENGINE, CopyCase
from engine_folder import engine_write

ONCE = "Converting to safetensors, once: "
TALK = ("--chat-template", "llama3", "--prompt", "hello", "--temperature", 0, "--max-tokens", 8)
WORKER = """
import prony_worker

class Exact(prony_worker.Engine):
    name, version = "exact", "1"

    def load(self, request):
        return {
            "vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0, "detail": request.model
        }

    def generate(self, prompt, sampling):
        yield from prompt

prony_worker.serve(Exact())
"""


class Copy(CopyCase):
    def talk(self, framework, *more, model=None, cache="cache"):
        words = ("--model", model or self.model, "--framework", framework)
        done = self.run_prony(*words, *TALK, *more, cache=cache)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def words_of(self):
        return {
            "talk": ("--model", self.model, "--framework", ENGINE, *TALK),
            "run": ("engines", "run", ENGINE, "--model", self.model),
            "check": (
                "engines",
                "check",
                "native",
                "--variant",
                ENGINE,
                "--no-forms",
                "--model",
                self.model,
            ),
            "bench": ("bench", "--framework", ENGINE, "--model-path", self.model, "--quick"),
        }

    def test_each_makes_it_and_all_take_it(self):
        for name, words in self.words_of().items():
            cache = f"first-by-{name}"
            done = self.run_prony(*words, cache=cache)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            (copy,) = self.copies(cache)
            self.assertEqual(done.stderr.count(ONCE), 1, done.stderr)
            self.assertIn(f"{ONCE}{copy}\n", done.stderr)
        made = (copy / "model.safetensors").stat()
        for words in self.words_of().values():
            done = self.run_prony(*words, cache=cache)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn(ONCE, done.stderr)
        self.assertEqual((copy / "model.safetensors").stat(), made)

    def test_the_answer_is_that_of_the_model_itself(self):
        plain = prony("--model", self.model, "--framework", ENGINE, *TALK)
        self.assertEqual((plain.returncode, plain.stderr), (0, ""))
        self.assertEqual(self.talk(ENGINE).stdout, plain.stdout)

    def test_it_is_told(self):
        self.assertIn("; from a copy in safetensors; ", self.talk(ENGINE, "--debug").stderr)
        done = self.run_prony("engines", "run", ENGINE, "--model", self.model)
        self.assertIn("; from a copy in safetensors; ", done.stdout)

    def test_ctrl_c_while_another_process_makes_it(self):
        for name, words in self.words_of().items():
            if name == "check":  # ends by the signal itself
                continue
            cache = f"busy-{name}"
            folder = self.root / cache / "converted"
            folder.mkdir(parents=True)
            lock = os.open(folder, os.O_RDONLY)
            self.addCleanup(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            environment = os.environ | self.environment(cache)
            command = [PRONY, *map(str, words)]
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
                while not blocks_sigint(process.pid):
                    self.assertIsNone(process.poll())
                process.send_signal(signal.SIGINT)
                _, told = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, told)
            self.assertNotIn(ONCE.encode(), told)
            self.assertEqual(list(folder.iterdir()), [])

    def test_who_reads_only_the_other_format_is_told_what_to_do(self):
        copy = self.root / "exact"
        done = self.run_prony("model", "convert", self.model, "--output", copy)
        self.assertEqual(done.returncode, 0, done.stderr)
        engine_write(self.root / "engines", "gguf-only", ["/usr/bin/true"], formats=["gguf"])
        for words in (
            ("--model", copy, "--framework", "gguf-only", *TALK),
            ("engines", "run", "gguf-only", "--model", copy),
            ("engines", "check", "gguf-only", "--model", copy),
            ("bench", "--framework", "gguf-only", "--model-path", copy),
        ):
            done = self.run_prony(*words)
            self.assertEqual(done.returncode, 1, done.stdout)
            told = f"it does not read safetensors; convert the model: prony model convert {copy}"
            self.assertIn(told, done.stderr)

    def test_a_folder_stands_for_the_file_in_it(self):
        folder = self.root / "folder"
        folder.mkdir()
        shutil.copy(self.model, folder / "only.gguf")
        engine_write(
            *(self.root / "engines", "exact", ["/usr/bin/python3", "worker.py"]), sampling=True
        )
        (self.root / "engines/exact/worker.py").write_text(WORKER)
        done = self.talk("exact", "--debug", model=folder)
        self.assertIn(f"{folder}/only.gguf", done.stderr)


def blocks_sigint(pid):
    """Whether a process waits for Ctrl-C by itself, instead of ending by it."""
    with open(f"/proc/{pid}/status") as status:
        blocked = next(line for line in status if line.startswith("SigBlk:"))
    return int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1


if __name__ == "__main__":
    unittest.main()
