"""A model that is not here yet when somebody wants to talk to it: --download, and the offer."""

import os
import pty
import select
import signal
import subprocess
import unittest

from hub_case import PRONY, REPO, Get


class Talk(Get):
    """prony --model NAME."""

    def setUp(self):
        super().setUp()
        tiny = self.cache / "tiny.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--output", tiny]
        subprocess.run(make, check=True, capture_output=True)
        self.hub.files = {"model.gguf": tiny.read_bytes()}

    def command(self, *arguments):
        how = ["--prompt", "hello", "--max-tokens", "5", "--chat-template", "llama3"]
        return [
            PRONY,
            "--model",
            REPO,
            "--framework",
            "null",
            "--temperature",
            "0",
            *how,
            *arguments,
        ]

    def talk(self, *arguments, status=0, **more):
        environment = self.environment(**more)
        run = subprocess.run(self.command(*arguments), env=environment, capture_output=True)
        self.assertEqual(run.returncode, status, run.stderr)
        return run.stderr.decode()

    def test_a_model_that_is_not_here(self):
        err = self.talk(status=1)
        self.assertIn(f"no model {REPO} on this machine", err)
        self.assertIn(f"Run: prony model get {REPO}", err)
        err = self.talk("--model", "llama3-8b", status=1)
        self.assertIn("Run: prony model get llama3-8b", err)
        run = subprocess.run([PRONY], env=self.environment(), capture_output=True, text=True)
        self.assertIn("Run: prony model get llama3-1b", run.stderr)
        self.assertEqual(self.hub.seen, [])

    def test_download(self):
        self.assertIn("hashes agree", self.talk("--download"))
        count = len(self.hub.seen)
        self.assertEqual(self.talk(), "")
        self.assertEqual(self.talk("--download"), "")
        self.assertEqual(self.talk("--model", f"{REPO}:model.gguf"), "")
        self.assertEqual(len(self.hub.seen), count)
        self.place.write_bytes(b"cut")
        self.assertIn("no model", self.talk(status=1))

    def terminal(self, answer, *arguments):
        """What a terminal shows, and the exit status, when the offer is answered so."""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(PRONY, self.command(*arguments), self.environment())
        seen, answered = b"", False
        try:
            while select.select([master], [], [], 60)[0]:
                seen += os.read(master, 65536)
                if not answered and b"[Y/n] " in seen:
                    answered = True
                    os.write(master, answer)
        except OSError:  # the terminal's other side is closed
            pass
        os.close(master)
        return seen.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_the_offer(self):
        seen, status = self.terminal(b"n\n")
        self.assertRegex(seen, r"Download 0\.00 GB to .*/models/org/repo, where [\d.]+ GB are free")
        self.assertIn(f"Run: prony model get {REPO}", seen)
        self.assertEqual(status, 1)
        self.assertFalse(self.place.exists())
        _, status = self.terminal(b"\x03")
        self.assertEqual(status, -signal.SIGINT)
        seen, status = self.terminal(b"\n")
        self.assertIn("hashes agree", seen)
        self.assertIn("prompt tokens", seen)
        self.assertEqual(status, 0)
        seen, status = self.terminal(b"")
        self.assertNotIn("[Y/n]", seen)
        self.assertEqual(status, 0)


if __name__ == "__main__":
    unittest.main()
