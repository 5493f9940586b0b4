"""The host's side of the worker protocol, for tests that look at what a worker answers."""

import json
import os
import subprocess


class Host:
    def __init__(self, command, folder, environment, log=None):
        inward, outward = os.pipe(), os.pipe()
        pipes = {"PRONY_FD_IN": str(inward[0]), "PRONY_FD_OUT": str(outward[1])}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment, **pipes},
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(inward[0], outward[1]),
        )
        os.close(inward[0])
        os.close(outward[1])
        self.requests, self.replies = os.fdopen(inward[1], "w"), os.fdopen(outward[0])
        self.id = 0

    def ask(self, op, **members):
        """The reply, behind any events."""
        self.id += 1
        self.requests.write(json.dumps({"id": self.id, "op": op, **members}) + "\n")
        self.requests.flush()
        for line in self.replies:
            reply = json.loads(line)
            if "event" not in reply:
                return reply
        raise AssertionError(f"the worker ended with status {self.process.wait()}")

    def close(self):
        self.requests.close()
        self.replies.close()
        self.process.wait()
