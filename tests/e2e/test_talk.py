"""prony without a command: one answer, a conversation in a pipe and at a terminal, mistakes."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
SOURCE = Path(os.environ["PRONY_SOURCE"])
WORKER = Path(os.environ["PRONY_BUILD"]) / "engines" / "null" / "worker"
VOCABULARY = 512  # as the tiny model has


def engine_write(folder, name, token_us, sampling=True):
    home = Path(folder) / name
    home.mkdir(parents=True)
    supports = {"formats": ["gguf"], "devices": ["cpu"], "sampling": sampling}
    variant = {
        "name": name,
        "title": name.title(),
        "precision": "float32",
        "about": "For a test.",
        "supports": supports,
        "options": {"token_us": token_us, "prefill_us": 0, "vocabulary": VOCABULARY},
    }
    manifest = {
        "name": name,
        "title": name.title(),
        "licence": "MIT",
        "about": "For a test.",
        "command": [str(WORKER)],
        "hidden": True,
        "variants": [variant],
    }
    (home / "engine.json").write_text(json.dumps(manifest))


class Talk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = root / "tiny.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--output", cls.model]
        subprocess.run(make, check=True, capture_output=True)
        engine_write(root / "engines", "quick", 10)
        engine_write(root / "engines", "slow", 20000)
        engine_write(root / "engines", "greedy", 10, sampling=False)
        cls.cache = root / "cache"
        cls.environment = os.environ | {
            "PRONY_ENGINE_PATH": str(root / "engines"),
            "PRONY_CACHE": str(cls.cache),
        }

    def command(self, *arguments, framework="quick"):
        given = ["--framework", framework, "--chat-template", "llama3", "--seed", "1"]
        return [PRONY, "--model", str(self.model), *given, *map(str, arguments)]

    def run_talk(self, *arguments, text="", status=0, **options):
        run = subprocess.run(
            self.command(*arguments, **options),
            input=text.encode(),
            capture_output=True,
            env=self.environment,
        )
        self.assertEqual(run.returncode, status, run.stderr)
        return run.stdout, run.stderr.decode()

    def refused(self, *arguments, **options):
        out, err = self.run_talk(*arguments, status=1, **options)
        self.assertEqual(out, b"")
        self.assertTrue(err.startswith("Error: ") and err.count("\n") == 1, err)
        return err


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
        _, err = self.run_talk("--prompt", "hi", "--max-tokens", 5, "--timing")
        self.assertRegex(err, r"^(token +\d+ +\d+\.\d\d ms  id \d+\n){1,5}$")

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
        self.assertIn("prony model get llama3-1b", self.refused("--model", "llama3-1b"))
        self.assertIn("no file or folder /x/y", self.refused("--model", "/x/y"))
        self.assertIn("no model is given", self.refused("--model", ""))

    def test_engines(self):
        self.assertIn("Did you mean 'quick'?", self.refused("--framework", "qiuck"))
        err = self.refused("--prompt", "hi", framework="greedy")
        self.assertIn("--temperature 0", err)
        self.run_talk("--prompt", "hi", "--temperature", 0, "--max-tokens", 5, framework="greedy")

    def test_numbers(self):
        for option, value in (("--top-p", 2), ("--temperature", -1), ("--max-tokens", 0)):
            self.assertIn(option, self.refused(option, value))
        self.assertIn("--context", self.refused("--context", 1 << 20))

    def test_what_is_not_in_this_version(self):
        for option in (["--quantize", "int8"], ["--shard", 2], ["--profile"], ["--download"]):
            self.assertIn("this version does not have that", self.refused(*option))


class Terminal(Talk):
    """Waits for text, never for a time; a minute is when a test gives up."""

    def start(self, *arguments, **options):
        self.seen = ""
        pid, self.master = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execve(PRONY, self.command(*arguments, **options), self.environment)
        self.pid = pid
        self.addCleanup(os.close, self.master)

    def wait_for(self, pattern):
        end = time.monotonic() + 60
        while not re.search(pattern, self.seen):
            self.assertLess(time.monotonic(), end, self.seen)
            if select.select([self.master], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    self.fail(f"it ended: {self.seen}")
        self.seen = self.seen[re.search(pattern, self.seen).end() :]

    def type(self, text):
        os.write(self.master, text)

    def ended(self):
        try:
            while select.select([self.master], [], [], 60)[0]:
                os.read(self.master, 65536)
            self.fail("it does not end")
        except OSError:  # the terminal's other side is closed
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def test_ctrl_c_ends_the_answer_and_then_the_program(self):
        self.start("--max-tokens", 3000, framework="slow")
        self.wait_for("> ")
        self.type(b"tell me\n")
        self.wait_for("tell me\r\n.{20}")
        self.type(b"\x03")
        self.wait_for(r"prompt tokens, .*interrupted\]")
        self.wait_for("> ")
        self.type(b"/stats\n")
        self.wait_for("1 turns")
        self.wait_for("> ")
        self.type(b"\x03")
        self.assertEqual(self.ended(), 130)

    def test_history_is_kept_and_the_summary_is_shown(self):
        self.start("--max-tokens", 5)
        self.wait_for("> ")
        self.type("wie spät?\n".encode())
        self.wait_for(r"\[\d+ prompt tokens, first token [\d.]+ ms, 5 tokens at [\d.]+ tok/s")
        self.wait_for("> ")
        self.type(b"\x04")
        self.assertEqual(self.ended(), 0)
        self.start("--max-tokens", 5)
        self.wait_for("> ")
        self.type(b"\x1b[A")
        self.wait_for("wie spät")
        self.type(b"\n")
        self.wait_for("prompt tokens")
        self.type(b"/quit\n")
        self.assertEqual(self.ended(), 0)

    def test_a_full_context_is_survived(self):
        self.start("--context", 40, "--max-tokens", 200)
        self.wait_for("> ")
        self.type(b"hi\n")
        self.wait_for("is full.*/reset")
        self.wait_for("> ")
        self.type(b"hi\n")
        self.wait_for("Error: the context is full")
        self.wait_for("> ")
        self.type(b"/reset\n")
        self.wait_for("new conversation begins")
        self.type(b"/quit\n")
        self.assertEqual(self.ended(), 0)

    def test_a_polite_kill_ends_it(self):
        self.start("--max-tokens", 3000, framework="slow")
        self.wait_for("> ")
        self.type(b"tell me\n")
        self.wait_for("tell me\r\n.{20}")
        os.kill(self.pid, signal.SIGTERM)
        self.assertEqual(self.ended(), 130)


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

    def test_it_knows_the_primary_colors(self):
        answer = self.answer("Name three primary colors.", "--temperature", "0").lower()
        for color in ("red", "blue", "yellow"):
            self.assertIn(color, answer)

    def test_the_same_seed_gives_the_same_text(self):
        first, again = (self.answer("Tell me a story.", "--seed", "7") for _ in range(2))
        self.assertEqual(first, again)


if __name__ == "__main__":
    unittest.main()
