"""prony without a command: one answer, a conversation in a pipe and at a terminal, mistakes."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tempfile
import termios
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


STUCK = """
import time
import prony_worker

class Stuck(prony_worker.Engine):
    name, version = "stuck", "1"

    def load(self, request):
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        yield 70
        time.sleep(1000)

prony_worker.serve(Stuck())
"""


def stuck_write(folder):
    """An engine that gives one token and then hears nothing any more."""
    engine_write(folder, "stuck", 0)
    manifest = json.loads((folder / "stuck" / "engine.json").read_text())
    manifest["command"] = ["/usr/bin/python3", "worker.py"]
    (folder / "stuck" / "engine.json").write_text(json.dumps(manifest))
    (folder / "stuck" / "worker.py").write_text(STUCK)


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
        stuck_write(root / "engines")
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

    def test_ctrl_d_typed_while_an_answer_comes_leaves_after_it(self):
        self.start("--max-tokens", 50, framework="slow")
        self.wait_for("> ")
        self.type(b"tell me\n")
        self.wait_for("tell me\r\n.{20}")
        self.type(b"\x04")
        self.wait_for(r"prompt tokens, .*\]")
        self.assertEqual(self.ended(), 0)

    def test_a_second_ctrl_c_leaves_a_worker_that_does_not_heed_the_first(self):
        self.start(framework="stuck")
        self.wait_for("> ")
        self.type(b"tell me\n")
        self.wait_for("tell me\r\n.")
        self.type(b"\x03")
        self.wait_for("C")  # the terminal's echo: the first one has come
        time.sleep(0.2)  # one signal that waits cannot be told from two
        self.type(b"\x03")
        self.assertEqual(self.ended(), 130)

    def test_pasted_lines_are_one_question(self):
        self.start("--max-tokens", 5, "--debug")
        self.wait_for("> ")
        self.type(b"\x1b[200~one\rtwo\n\x07[20three\x1b[201~ four")
        self.wait_for("four")
        self.type(b"\n")
        self.wait_for(r'"\\n" 322"tw" 78"o" 198"\\n" 58"\["')  # one turn, with its line ends
        self.wait_for(r"prompt tokens")
        self.wait_for("> ")
        self.type(b"a\x1b\rb\n/stats\n")
        self.wait_for("2 turns")
        self.type(b"\x1b[A\x1b[A\x04")  # the history has lines of several lines
        self.wait_for(r"(?s)a.*\nb")
        self.type(b"\x15\x04")
        self.assertEqual(self.ended(), 0)

    def test_a_resize_draws_the_line_again(self):
        self.start("--max-tokens", 5)
        self.wait_for("> ")
        self.type(b"some words")
        self.wait_for("some words")
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.wait_for("> some words")
        self.type(b"\n")
        self.wait_for("prompt tokens")
        self.type(b"/quit\n")
        self.assertEqual(self.ended(), 0)

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
        self.wait_for("Error: the context is full.*/context N makes room")
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
