"""An Ollama server of the worker's own: on a free port, with its files in one folder."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time

from prony_worker import Failure

OLDEST = (0, 11, 4)  # the API and the sampling that the worker relies on
START_S = 120  # looking for GPUs included
STOP_S = 10
ATTEMPTS = 3  # a port that was free may be taken when the server asks for it


class Silent(Failure):
    """It runs, and does not answer."""


def environment(folder, port, devices=None):
    """Nothing of the user's own Ollama: neither its settings nor its server, models or keys."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OLLAMA_")}
    ours |= {
        "HOME": folder,
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": os.path.join(folder, "models"),
        "OLLAMA_KEEP_ALIVE": "-1",  # until it is unloaded
        "OLLAMA_NUM_PARALLEL": "1",
        "OLLAMA_NO_CLOUD": "1",
    }
    return ours if devices is None else {**ours, "CUDA_VISIBLE_DEVICES": devices}


def version_of(program, folder):
    """What `ollama --version` says, asking no server; "" when it does not."""
    command = [program, "--version"]
    try:
        done = subprocess.run(
            command, env=environment(folder, 1), capture_output=True, text=True, timeout=START_S
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        hint = "Run: prony engines install ollama"
        raise Failure("unsupported", f"{program} does not start: {problem}", hint) from None
    found = re.search(r"version is (\d+\.\d+\.\d+)", done.stdout + done.stderr)
    return found[1] if found else ""


def numbers(version):
    return tuple(map(int, version.split(".")))


def check(program, folder):
    """The version of a program that is new enough."""
    version = version_of(program, folder)
    if version and numbers(version) >= OLDEST:
        return version
    told = f"version {version}" if version else "of a version that it does not tell"
    oldest = ".".join(map(str, OLDEST))
    what = f"{program} is {told}, and {oldest} is the oldest that this worker can use"
    raise Failure("unsupported", what, "Update it, or run: prony engines install ollama@" + oldest)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def last_line():
    """Of the worker's log, into which the server writes; "" where it cannot be read again."""
    if not stat.S_ISREG(os.fstat(2).st_mode):
        return ""
    with open("/proc/self/fd/2", encoding="utf-8", errors="replace") as log:
        return next((line.strip() for line in reversed(log.readlines()) if line.strip()), "")


class Server:
    """One `ollama serve`. silence_s: how long it may say nothing while it is asked something."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.process = self.port = self.devices = None
        self.silence_s = START_S

    def start(self, devices=None):
        self.stop()
        self.devices = devices
        for _ in range(ATTEMPTS):
            self.port = free_port()
            self.process = subprocess.Popen(
                [self.program, "serve"],
                env=environment(self.folder, self.port, devices),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            if self._answers():
                return
            ended = self._end_text()
            self.stop()
        raise Failure(
            "failed",
            f"Ollama's server, started {ATTEMPTS} times on ports that were free, {ended}",
            "Is another program taking ports, or is the disk full?",
        )

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def has_mapped(self, name):
        """Whether one of its processes, which are a session of their own, has such a file mapped."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.getsid(int(pid)) == self.process.pid:
                    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                        if any(name in line for line in maps):
                            return True
        return False

    def _answers(self):
        """Waits until it does; False when the process ends instead."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = self._connect()
            try:
                connection.request("GET", "/api/version")
                connection.getresponse().read()
                return self.process.poll() is None  # else it was another's server
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                connection.close()
        return False

    def _end_text(self):
        """How the process ended, as the end of a sentence."""
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return f"does not answer on port {self.port}"
        if status < 0:
            return f"was killed by signal {-status} ({signal.Signals(-status).name})"
        said = last_line()
        return f"ended with status {status}" + (f" ({said[:200]})" if said else "")

    def _connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.silence_s)

    def broken_off(self, doing):
        """What to raise when an answer ended too early; http.client does not tell a break from an
        end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.3)
        if not self.is_running():
            return self.lost(doing, ConnectionError())
        return Failure(
            "failed",
            "Ollama broke off its answer without a word: it does so when a text repeats one token "
            "30 times",
            "Take fewer tokens, or another model.",
        )

    def lost(self, doing, problem):
        """What to raise when the connection broke."""
        if isinstance(problem, TimeoutError):
            text = f"Ollama's server said nothing for {self.silence_s:g} s when it should {doing}"
            return Silent("failed", text)
        if self.process.poll() is None and isinstance(problem, ValueError):
            text = f"sent what is no answer ({problem})"
        else:
            text = self._end_text()
            text = text if self.process.returncode is not None else f"hung up ({problem})"
        return Failure("failed", f"Ollama's server {text} when it should {doing}")

    @staticmethod
    def _answer(line):
        """An object of JSON; Failure when it is an error of Ollama's."""
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise ValueError(f"{line[:60]!r}")
        if "error" in answer:
            what = str(answer["error"])
            full = "no space left on device" in what
            hint = "Free some, or set TMPDIR to a folder on another disk." if full else ""
            raise Failure("failed", f"Ollama says: {what}", hint)
        return answer

    @contextlib.contextmanager
    def impatient(self, silence_s):
        """For as long as this, it may say nothing for less than otherwise."""
        usual, self.silence_s = self.silence_s, min(silence_s, self.silence_s)
        try:
            yield
        finally:
            self.silence_s = usual

    def ask(self, doing, method, path, body=None):
        """One request, one reply."""
        *_, last = self.stream(doing, method, path, body)
        return last

    def stream(self, doing, method, path, body=None):
        """Yields each object of the reply as it is there. Closed early, it hangs up."""
        if not self.is_running():
            raise Failure("failed", f"Ollama's server is not running, and should {doing}")
        connection = self._connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            some = False
            for line in response:
                if line.strip():
                    some = True
                    yield self._answer(line)
            if response.status >= 400 or not some:
                raise ValueError(f"HTTP status {response.status}, and nothing more")
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise self.lost(doing, problem) from None
        finally:
            connection.close()

    def stop(self):
        if not self.process:
            return
        self.process.terminate()  # it ends its runners
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
