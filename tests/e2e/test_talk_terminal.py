"""prony without a command, at a terminal: keys, signals, a conversation that goes on."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unittest

from talk_case import PRONY, Talk


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


if __name__ == "__main__":
    unittest.main()
