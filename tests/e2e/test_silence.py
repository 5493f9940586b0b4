"""While tokens are timed, the host does nothing but sleep: its system calls, seen by strace."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PRONY = os.environ["PRONY"]


def host_calls(trace):
    """The (call, arguments) of the host's threads, in order; a call counts where it begins."""
    threads, calls, unfinished = set(), [], {}
    for line in trace.splitlines():
        match = re.match(r"(\d+) +(<\.\.\. )?(\w+)(.*)", line)
        if not match:
            continue
        thread, resumed, call, rest = match.groups()
        if not threads:
            threads.add(thread)
        if thread not in threads:
            continue
        started = re.search(r"CLONE_THREAD.* = (\d+)$", line)
        if call.startswith("clone") and started:
            threads.add(started.group(1))
        if resumed:
            calls[unfinished[thread]][1] += rest
        else:
            unfinished[thread] = len(calls)
            calls.append([call, rest])
    return calls


@unittest.skipUnless(shutil.which("strace"), "strace is not installed")
class Silence(unittest.TestCase):
    def test_only_poll_between_request_and_reply(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            model, trace = root / "tiny.gguf", root / "trace"
            environment = {
                **os.environ,
                "PRONY_STORE": str(root / "store"),
                "ASAN_OPTIONS": "detect_leaks=0",  # it does not work under strace
            }
            subprocess.run([PRONY, "model", "make", "-o", model], check=True, capture_output=True)
            bench = [PRONY, "bench", "--framework", "null", "--model-path", model]
            traced = subprocess.run(
                ["strace", "-f", "-s", "64", "-o", trace, *bench, "--blocks", "1"],
                env=environment,
                capture_output=True,
                encoding="utf-8",
            )
            if not trace.exists() or not trace.stat().st_size:
                self.skipTest(f"strace may not trace here: {traced.stderr}")
            calls = host_calls(trace.read_text(errors="replace"))
        requests = [
            i
            for i, (call, rest) in enumerate(calls)
            if call == "write" and r"{\"op\":\"generate\"" in rest
        ]
        self.assertGreaterEqual(len(requests), 3, traced.stdout + traced.stderr)
        for start in requests:
            between = []
            for call, rest in calls[start + 1 :]:
                if call == "read" and "prompt_ns" in rest:
                    break
                between.append(call)
            # rt_sigprocmask ends the write; restart_syscall is a poll that strace has disturbed.
            self.assertLessEqual(set(between), {"rt_sigprocmask", "poll", "restart_syscall"})
            self.assertLessEqual(between.count("poll"), 2)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    sys.exit(77 if result.skipped else not result.wasSuccessful())
