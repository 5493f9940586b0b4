"""prony without a command: one answer, a conversation in a pipe, mistakes, a real model."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from talk_case import PRONY, Talk

SOURCE = Path(os.environ["PRONY_SOURCE"])


class Pipes(Talk):
    def test_one_answer_alone_on_stdout(self):
        out, err = self.run_talk("--prompt", "hello", "--max-tokens", 30)
        self.assertEqual(err, "")
        self.assertGreater(len(out), 10)
        out.decode()
        self.assertTrue(out.endswith(b"\n"))

    def test_the_same_seed_gives_the_same_text(self):
        arguments = ("--prompt", "hello", "--max-tokens", 30)
        first, again = self.run_talk(*arguments), self.run_talk(*arguments)
        other = self.run_talk(*arguments, "--seed", 2)
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_each_line_is_a_turn_and_sees_those_before(self):
        arguments = ("--max-tokens", 20, "--temperature", 0)
        once, _ = self.run_talk(*arguments, text="hello\n")
        twice, _ = self.run_talk(*arguments, text="hello\n\nhello\n")
        self.assertTrue(twice.startswith(once))
        self.assertNotEqual(twice, once + once)
        reset, err = self.run_talk(*arguments, text="hello\n/reset\nhello\n/quit\nhello\n")
        self.assertEqual(reset, once + once)
        self.assertIn("A new conversation", err)

    def test_the_system_message_counts(self):
        arguments = ("--prompt", "hello", "--max-tokens", 20, "--temperature", 0)
        self.assertNotEqual(
            self.run_talk(*arguments), self.run_talk(*arguments, "--system", "Be brief.")
        )

    def test_commands(self):
        out, err = self.run_talk("--max-tokens", 5, text="/help\n/stats\n/nonsense\nhi\n/stats\n")
        self.assertTrue(out)
        for part in ("/reset", "0 turns, 0 of", "1 turns", "answered by quick", "no such command"):
            self.assertIn(part, err)

    def test_timing(self):
        first = r"token +1 +\d+\.\d\d ms  for the prompt of \d+  id \d+\n"
        others = r"(token +\d+ +\d+\.\d\d ms +[\d.]+ tok/s( +[\d.]+ GB/s)?  id \d+\n){%d}"
        _, err = self.run_talk("--prompt", "hi", "--max-tokens", 5, "--timing")
        self.assertRegex(err, f"^{first}{others % 4}$")
        _, err = self.run_talk("--benchmark", "--timing")
        self.assertRegex(err, f"^{first}{others % 20}$")

    def test_debug(self):
        _, err = self.run_talk("--prompt", "hi", "--max-tokens", 5, "--debug", "--seed", 77)
        for part in ("engine null", "loaded in", "chat template llama3", "seed 77", '"hi"'):
            self.assertIn(part, err)
        self.assertRegex(err, r"answer, 5 ids: \d+")
        self.assertIn("the worker's log ends: ", err)

    def test_save(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.md"
            lines = f"hello\n/save {path}\n/reset\nagain\n/save\n/save {path}\n"
            out, err = self.run_talk("--max-tokens", 20, text=lines)
            self.assertEqual(err.count(f"The conversation is in {path}."), 3)
            said = path.read_bytes()
            for part in ("# Question\n\nhello\n", "# Question\n\nagain\n", "A new conversation"):
                self.assertIn(part.encode(), said)
            for line in out.splitlines():
                self.assertIn(line, said)
            path.write_text("somebody else's")
            _, err = self.run_talk("--max-tokens", 5, text=f"hello\n/save {path}\n")
            self.assertIn("there is a file", err)
            self.assertEqual(path.read_text(), "somebody else's")

    def test_a_slash_alone_makes_no_command(self):
        out, err = self.run_talk("--max-tokens", 5, text="/* a comment */\n//\n/usr/bin is full\n")
        self.assertEqual((out.count(b"\n") >= 3, err), (True, ""))

    def test_room_is_made_for_what_was_said(self):
        talk = "--context", 40, "--max-tokens", 200, "--temperature", 0
        out, err = self.run_talk(*talk, text="hi\n/context 20\n/context 100\n/stats\nhi\n")
        self.assertIn("is full, so the answer ends here. /context N makes room", err)
        self.assertIn("40 tokens are in use", err)
        self.assertIn("room for 100 tokens now", err)
        self.assertIn("40 of 100 tokens", err)
        self.assertIn("The context of 100 tokens is full", err)
        for wrong in ("/context", "/context x", "/context -1", "/context 0"):
            self.assertIn("How many tokens?", self.run_talk(text=wrong + "\n")[1])
        self.assertIn("possible", self.run_talk(text="/context 999999\n")[1])
        _, err = self.run_talk("--context", 256, text="hi\n" * 50, status=1)
        self.assertIn("The model was made for no more", err)

    def test_profile(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            self.addCleanup(os.chdir, "/")
            arguments = ("--prompt", "hello", "--max-tokens", 20, "--profile")
            out, err = self.run_talk(*arguments, framework="native-f32")
            trace = next(Path(folder).glob("prony-profile-*.json"))
            self.assertIn(str(trace), err)
            for part in (
                "attention",
                "down",
                "wait",
                "sum",
                "as stamped",
                "1 prompts and 19 tokens",
            ):
                self.assertIn(part, err)
            names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
            self.assertLessEqual({"prompt", "token", "attention", "sample"}, names)
            same, _ = self.run_talk(*arguments[:-1], framework="native-f32")
            self.assertEqual(out, same)
            trace.unlink()
            self.run_talk("--benchmark", "--profile", framework="native")
            self.assertEqual(len(list(Path(folder).iterdir())), 1)

    def test_benchmark(self):
        out, err = self.run_talk("--benchmark")
        self.assertEqual(err, "")
        self.assertRegex(out.decode(), r"quick: 20 tokens, [\d.]+ ms a token, [\d.]+ tok/s.*\n$")

    def test_a_full_context_is_told(self):
        text = "".join(f"question {i}\n" for i in range(40))
        _, err = self.run_talk("--max-tokens", 50, text=text, status=1)
        self.assertIn("context", err)
        self.assertIn("/reset", err)
        self.assertIn("--context", self.refused("--context", 4, "--prompt", "hello"))
        full = ("--max-tokens", 200, "--temperature", 0, "--prompt", "hi", "--context", 40)
        self.assertIn("--context N makes room", self.run_talk(*full)[1])

    def test_a_full_disk(self):
        with open("/dev/full", "w") as full:
            run = subprocess.run(
                self.command("--prompt", "hello"),
                stdout=full,
                stderr=subprocess.PIPE,
                env=self.environment,
            )
        self.assertEqual(run.returncode, 1)
        self.assertIn(b"cannot write to standard output", run.stderr)


class Mistakes(Talk):
    def test_models(self):
        self.assertIn("no file or folder /x/y", self.refused("--model", "/x/y"))
        self.assertIn("no file or folder x/y.gguf", self.refused("--model", "x/y.gguf"))
        self.assertIn("Did you mean 'llama3-1b'", self.refused("--model", "lama3-1b"))
        self.assertIn("is empty", self.refused("--model", ""))

    def test_engines(self):
        self.assertIn("Did you mean 'quick'?", self.refused("--framework", "qiuck"))
        err = self.refused("--prompt", "hi", framework="greedy")
        self.assertIn("--temperature 0", err)
        self.run_talk("--prompt", "hi", "--temperature", 0, "--max-tokens", 5, framework="greedy")

    def test_numbers(self):
        for option, value in (("--top-p", 2), ("--temperature", -1), ("--max-tokens", 0)):
            self.assertIn(option, self.refused(option, value))
        self.assertIn("Use 256 or less", self.refused("--context", 1 << 20))

    def test_what_an_engine_cannot(self):
        self.assertIn(
            "quick: it cannot quantise to int8 on cpu", self.refused("--quantize", "int8")
        )
        self.assertIn("it cannot be split over 2 devices on cpu", self.refused("--shard", 2))
        self.assertIn("quick makes no profile", self.refused("--profile"))


class RealModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        fetch = subprocess.run(
            [SOURCE / "scripts" / "fetch-model"], stdout=subprocess.PIPE, text=True, check=True
        )
        cls.model = fetch.stdout.strip()

    def answer(self, prompt, *arguments):
        command = [PRONY, "--model", self.model, "--prompt", prompt, "--max-tokens", "40"]
        run = subprocess.run([*command, *arguments], capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return run.stdout

    def test_it_knows_who_wrote_hamlet(self):
        self.assertIn("Shakespeare", self.answer("Who wrote Hamlet?", "--temperature", "0"))

    def test_it_knows_so_quantised(self):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "half.gguf"
            words = ("model", "convert", self.model, "--output", model, "--precision", "float16")
            subprocess.run([PRONY, *words], check=True, capture_output=True)
            for quantize in ("int8", "nf4"):
                words = ("--model", model, "--temperature", "0", "--quantize", quantize)
                self.assertIn("Shakespeare", self.answer("Who wrote Hamlet?", *words), quantize)

    def test_what_is_quantised_already_is_refused(self):
        words = ("--model", self.model, "--prompt", "hi", "--quantize", "int8")
        run = subprocess.run([PRONY, *words], capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("the model is quantised already", run.stderr)

    def test_it_knows_the_primary_colors(self):
        answer = self.answer("Name three primary colors.", "--temperature", "0").lower()
        for color in ("red", "blue", "yellow"):
            self.assertIn(color, answer)

    def test_the_same_seed_gives_the_same_text(self):
        first, again = (self.answer("Tell me a story.", "--seed", "7") for _ in range(2))
        self.assertEqual(first, again)


if __name__ == "__main__":
    unittest.main()
