"""The command line itself: help, mistakes, streams that are closed or full, man page, completion."""

import os
import pathlib
import pty
import re
import select
import subprocess
import tempfile
import time
import unittest

PRONY = os.environ["PRONY"]
BUILD = pathlib.Path(os.environ["PRONY_BUILD"])


def prony(*arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [PRONY, *arguments], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, **options
    )


def command_names():
    listed = prony("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?:  |$)", listed, re.MULTILINE)


class Help(unittest.TestCase):
    def test_every_command_fits_80_columns(self):
        names = command_names()
        self.assertIn("model convert", names)
        for name in ["", *names]:
            run = prony(*name.split(), "--help")
            self.assertEqual((run.returncode, run.stderr), (0, ""), name)
            self.assertIn("Usage: prony", run.stdout)
            self.assertIn("Exit status:", run.stdout)
            for line in run.stdout.splitlines():
                self.assertLessEqual(len(line), 80, f"prony {name} --help: {line!r}")

    def test_help_wins_over_mistakes(self):
        run = prony("model", "convert", "--nonsense", "--help")
        self.assertEqual(run.returncode, 0)
        self.assertIn("--precision", run.stdout)
        self.assertEqual(prony("help", "model", "convert").stdout, run.stdout)
        self.assertEqual(prony("model", "convert", "-h").stdout, run.stdout)

    def test_a_group_lists_its_commands(self):
        run = prony("model", "--help")
        self.assertEqual(run.returncode, 0)
        self.assertIn("model inspect", run.stdout)
        self.assertNotIn("  engines", run.stdout)
        self.assertEqual(prony("help", "model").stdout, run.stdout)

    def test_a_command_that_is_a_group_as_well(self):
        run = prony("engines", "--help")
        self.assertEqual(run.returncode, 0)
        self.assertIn("Usage: prony engines [OPTION", run.stdout)
        self.assertIn("engines check", run.stdout)

    def test_version(self):
        run = prony("--version")
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.stdout, r"^prony \d+\.\d+\.\d+\n$")


class Mistakes(unittest.TestCase):
    def check(self, arguments, *parts):
        run = prony(*arguments)
        self.assertEqual((run.returncode, run.stdout), (1, ""), arguments)
        self.assertTrue(run.stderr.startswith("Error: "), run.stderr)
        for part in parts:
            self.assertIn(part, run.stderr)
        return run

    def test_no_command(self):
        self.check([], "no model llama3-1b", "prony model get llama3-1b")

    def test_unknown_command(self):
        self.check(["engnies"], "no command 'engnies'", "Did you mean 'prony engines'?")
        self.check(["model", "inspekt"], "'model inspekt'", "'prony model inspect'?")
        self.check(["model"], "several commands", "prony model --help")
        self.check(["x" * 100000], "no command 'xxx")
        self.check([""], "no command ''")

    def test_unknown_option(self):
        run = self.check(
            ["model", "convert", "--outptu", "x"], "--outptu", "Did you mean --output?"
        )
        self.assertEqual(run.stderr.count("\n"), 1)
        self.check(["--modle", "x"], "no option --modle", "Did you mean --model?")

    def test_every_command_refuses_an_unknown_option(self):
        for name in command_names():
            self.check([*name.split(), "--zzzzzzzz"], "no option --zzzzzzzz")


class Streams(unittest.TestCase):
    def test_full_stdout(self):
        with open("/dev/full", "w") as full:
            run = prony("--help", stdout=full)
        self.assertEqual(run.returncode, 1)
        self.assertIn("No space left", run.stderr)

    def test_closed_stdout(self):
        run = subprocess.run(
            ["sh", "-c", '"$0" --version >&-', PRONY], stderr=subprocess.PIPE, text=True
        )
        self.assertEqual(run.returncode, 1)
        self.assertIn("cannot write to standard output", run.stderr)

    def test_all_streams_closed(self):
        run = subprocess.run(["sh", "-c", '"$0" --version <&- >&- 2>&-', PRONY])
        self.assertEqual(run.returncode, 1)

    def test_a_reader_that_left(self):
        read_end, write_end = os.pipe()
        os.close(read_end)
        run = prony("--help", stdout=write_end)
        os.close(write_end)
        self.assertEqual((run.returncode, run.stderr), (1, ""))


class ManPage(unittest.TestCase):
    def test_renders_without_warnings(self):
        run = subprocess.run(
            ["groff", "-man", "-ww", "-Tutf8", "-P-c", BUILD / "share/prony.1"],
            capture_output=True,
            text=True,
        )
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        text = re.sub(".\b", "", run.stdout)
        for name in command_names():
            self.assertIn(f"prony {name}", text)
        self.assertIn("--precision", text)


class Shell:
    """An interactive bash on a terminal of its own, with prony's completion."""

    def __init__(self, folder):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "", "HOME": folder}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.send("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n")
        self.send(f". '{BUILD}/share/prony.bash'; stty cols 500; echo rea'dy'\n")
        self.wait_for(r"\nready")

    def send(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        seen = ""
        deadline = time.monotonic() + 60
        while not (match := re.search(pattern, seen)):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"bash did not show {pattern!r} but {seen!r}")
            seen += os.read(self.terminal, 65536).decode(errors="replace").replace("\r", "")
        return match

    def complete(self, line):
        """What the line becomes when Tab is pressed at its end."""
        self.send(line + "\t\x01echo '=>' [\x05]\n")  # Ctrl-A and Ctrl-E: the line's ends
        return self.wait_for(r"\n=> \[(.*)\]\n").group(1)

    def close(self):
        self.send("\x15exit\n")
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        pathlib.Path(self.folder.name, "weights.gguf").touch()
        self.shell = Shell(self.folder.name)
        self.addCleanup(self.shell.close)

    def test_completes(self):
        for line, completed in {
            "prony eng": "prony engines ",
            "prony engines ch": "prony engines check ",
            "prony engines --a": "prony engines --all ",
            "prony model ins": "prony model inspect ",
            "prony model convert --out": "prony model convert --output ",
            "prony model convert --output wei": "prony model convert --output weights.gguf ",
            "prony model convert --output=wei": "prony model convert --output=weights.gguf ",
            "prony model convert --format ggu": "prony model convert --format gguf ",
            "prony model convert --format=ggu": "prony model convert --format=gguf ",
            "prony model inspect wei": "prony model inspect weights.gguf ",
            "prony model convert --format wei": "prony model convert --format wei",
        }.items():
            with self.subTest(line):
                self.assertEqual(self.shell.complete(line), completed)


if __name__ == "__main__":
    unittest.main()
