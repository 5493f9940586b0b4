"""Prony worker SDK: write a benchmark engine in Python.

Derive from Engine, fill in load() and generate(), and call serve(MyEngine()). serve() speaks the
worker protocol (docs/protocol.md) on the pipes named by PRONY_FD_IN and PRONY_FD_OUT; whatever the
engine prints goes to the worker's log. Only the standard library is needed.
"""

import contextlib
import dataclasses
import errno
import json
import os
import select
import sys
import time

PROTOCOL = 1
MAX_TOKENS = 1 << 20

now_ns = time.monotonic_ns  # CLOCK_MONOTONIC: what every stamp is


class Failure(Exception):
    """A request cannot be fulfilled; the worker lives on.

    The codes that the host knows are bad_request, not_found, bad_model, unsupported and no_memory.
    """

    def __init__(self, code, message, hint=""):
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


@dataclasses.dataclass
class Load:
    """What load() is asked for."""

    model: str  # path of a GGUF file (the first of several), or of a safetensors file or folder
    variant: str
    device: str  # "cpu", "cuda", "cuda:1"
    precision: str  # "float32", ..., or "" for the variant's own
    quantize: str  # "" or "int8", "nf4", "float16", "q8_0"
    shard: int  # 1: not sharded
    threads: int  # 0: the engine's own choice
    context: int  # positions the KV cache must hold
    options: dict  # the variant's "options" in engine.json
    keep_at: str  # the file that q8_0 is kept in, and made where it is not there; else ""
    phases: list = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name):
        """with request.phase("read"): ... names a part of the load and stamps it."""
        start = now_ns()
        yield
        self.phases.append({"name": name, "start_ns": start, "end_ns": now_ns()})


@dataclasses.dataclass
class Sampling:
    """How to choose the next token; temperature 0 is greedy. Timed runs are always greedy."""

    temperature: float = 0.0
    top_k: int = 0  # 0, 1 and 0 leave nothing out
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    tokens: int = 0  # how many are asked for; the SDK takes no more
    stream: bool = False  # somebody talks to the model, and nothing is timed


class Engine:
    """An engine. name and version are required, and so are load() and generate()."""

    name = ""
    version = ""
    stands_on = ""  # "torch 2.14.0, CUDA 13.0"

    def start(self):
        """Optional: called once, before hello is answered, for what takes long and needs no model."""

    def devices(self):
        return ["cpu"]

    def load(self, request):
        """Loads a model; neither compiles nor runs it. Returns a dict with vocabulary,
        weight_bytes and kv_token_bytes, and if it likes precision (with request.quantize: that),
        threads, detail and embedding_bytes (docs/protocol.md)."""
        raise NotImplementedError

    def generate(self, prompt, sampling):
        """Yields one token id (an int) after the other, each as soon as it is in host memory.
        Every call is a fresh sequence: nothing of an earlier prompt may be reused. The SDK stops
        asking when enough tokens are there, so the generator needs no end; it is closed then, and
        what it does at its close is outside of what is timed. An engine without sampling raises
        Failure("unsupported", ...) when sampling.temperature is above 0."""
        raise NotImplementedError

    def logits(self, ids):
        """Optional: a bytes-like object with [len(ids), vocabulary] float32, row-major. Row i
        holds the logits after ids[:i + 1]."""
        raise Failure("unsupported", f"{self.name} has no logits")

    # Whether what logits returns are log-probabilities of some ids, and NaN for the others: for an
    # engine that takes and gives text, and tells no more.
    partial_logits = False

    def exchanged(self):
        """Optional, for an engine that splits a model over processes: what this one has exchanged with
        the others so far, (bytes of values, nanoseconds with all waiting)."""
        return 0, 0

    def memory(self):
        """Optional: host_bytes, host_peak_bytes, device_bytes, device_peak_bytes, method; leave
        out what is not known."""
        return process_memory()

    def trace(self, path):
        """Optional: Chrome trace JSON of what follows to path; "" ends it, and may return where
        the time went, as docs/protocol.md says."""
        raise Failure("unsupported", f"{self.name} has no trace")

    def unload(self):
        """Frees what load() made."""


def process_memory():
    """The process's PSS, and VmHWM as its peak."""

    def kilobytes(path, key):
        with open(path, encoding="ascii") as lines:
            for line in lines:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        return 0

    now = kilobytes("/proc/self/smaps_rollup", "Pss") * 1024
    peak = kilobytes("/proc/self/status", "VmHWM") * 1024
    return {
        "host_bytes": now,
        "host_peak_bytes": max(now, peak),
        "method": "PSS from /proc/self/smaps_rollup, peak VmHWM",
    }


FREE_SPACE = (
    "The disk is full: free some space, or set PRONY_CACHE and TMPDIR to folders on another disk."
)


def disk_is_full(problem):
    """Whether this exception, or one that led to it, comes from a full disk or quota."""
    while problem:
        full = getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full or "disk is full" in str(problem):  # as SQLite says it
            return True
        problem = problem.__cause__ or problem.__context__
    return False


class _Channel:
    """The two pipes to the host: JSON objects, one a line."""

    def __init__(self, fd_in, fd_out):
        self.fd_in, self.fd_out, self.pending = fd_in, fd_out, b""
        for fd in (fd_in, fd_out):
            os.set_inheritable(fd, False)  # what the engine starts must not hold the pipes

    def _line(self, wait):
        while b"\n" not in self.pending:
            if not wait and not select.select([self.fd_in], [], [], 0)[0]:
                return None
            data = os.read(self.fd_in, 1 << 20)
            if not data:
                return None
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def receive(self):
        """The next request; None at the end of the pipe."""
        while (message := self._line(wait=True)) and message.get("op") == "cancel":
            pass  # of a stream that is over
        return message

    def cancelled(self, request_id):
        message = self._line(wait=False)
        return bool(message) and message.get("op") == "cancel" and message.get("id") == request_id

    def send(self, message):
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        while data:
            data = data[os.write(self.fd_out, data) :]


class _Worker:
    def __init__(self, engine, channel):
        self.engine, self.channel = engine, channel
        self.vocabulary = self.context = 0  # 0: no model is loaded

    def _ids(self, request, key):
        ids = request.get(key, [])
        if not isinstance(ids, list) or len(ids) > MAX_TOKENS:
            raise Failure("bad_request", f'"{key}" is not a list of at most {MAX_TOKENS} ids')
        if not all(type(i) is int and 0 <= i < self.vocabulary for i in ids):
            raise Failure(
                "bad_request",
                f'"{key}" has an entry that is no id of the vocabulary of {self.vocabulary}',
            )
        return ids

    def _need_model(self):
        if not self.vocabulary:
            raise Failure("bad_request", "no model is loaded", "Send load first.")

    def hello(self, request):
        self.engine.start()
        return {
            "protocol": PROTOCOL,
            "engine": self.engine.name,
            "version": self.engine.version,
            "stands_on": self.engine.stands_on,
            "devices": self.engine.devices(),
        }

    def load(self, request):
        self.unload(request)
        names = [field.name for field in dataclasses.fields(Load) if field.name != "phases"]
        task = Load(**{name: request.get(name) for name in names})
        if not task.context:
            raise Failure("bad_request", '"context" is not a positive number')
        loaded = self.engine.load(task)
        self.vocabulary, self.context = loaded["vocabulary"], task.context
        return {"phases": task.phases, **loaded}

    def generate(self, request):
        self._need_model()
        prompt, stop = self._ids(request, "prompt"), set(self._ids(request, "stop"))
        tokens, stream = request.get("tokens", 0), request.get("stream", False)
        if not prompt or tokens < 1:
            raise Failure("bad_request", "the prompt is empty, or no token is asked for")
        if len(prompt) + tokens > self.context:
            raise Failure(
                "bad_request",
                f"a prompt of {len(prompt)} and {tokens} tokens do not fit the context of "
                f"{self.context}",
                "Load the model with a larger context.",
            )
        fields = [field.name for field in dataclasses.fields(Sampling)]
        sampling = Sampling(**{name: request[name] for name in fields if name in request})
        ids, stamps = [0] * tokens, [0] * tokens
        before = first = last = self.engine.exchanged()
        count, prompt_ns = 0, now_ns()
        generation = self.engine.generate(prompt, sampling)
        for token in generation:
            stamps[count] = now_ns()
            ids[count] = token
            count += 1
            last = self.engine.exchanged()
            first = last if count == 1 else first
            if stream:
                self.channel.send({"id": request["id"], "event": "token", "token": int(token)})
                if self.channel.cancelled(request["id"]):
                    break
            if count == tokens or token in stop:
                break
        if hasattr(generation, "close"):
            generation.close()  # now, so that what fails there fails this request
        if not all(type(i) is int for i in ids):
            raise Failure(
                "failed",
                f"{self.engine.name} yields ids that are no int",
                "Convert before you yield (int(token), token.item()): the id's stamp is taken "
                "then, and a tensor may not have been computed yet.",
            )
        reply = {"prompt_ns": prompt_ns, "ids": ids[:count], "stamps_ns": stamps[:count]}
        if last[0]:
            spans = {"prompt": (before, first), "token": (first, last)}
            reply["exchanged"] = {
                f"{span}_{unit}": ends[1][i] - ends[0][i]
                for span, ends in spans.items()
                for i, unit in enumerate(("bytes", "ns"))
            }
        return reply

    def logits(self, request):
        self._need_model()
        ids = self._ids(request, "ids")
        if not 0 < len(ids) <= self.context:
            raise Failure("bad_request", f"logits need 1 to {self.context} ids (the context)")
        matrix = memoryview(self.engine.logits(ids)).cast("B")
        if len(matrix) != len(ids) * self.vocabulary * 4:
            raise Failure("failed", f"{self.engine.name} made {len(matrix)} bytes of logits")
        with open(request["path"], "wb") as file:
            file.write(matrix)
        partial = self.engine.partial_logits
        return {"rows": len(ids), "columns": self.vocabulary, "partial": partial}

    def memory(self, request):
        return self.engine.memory()

    def trace(self, request):
        self._need_model()
        return self.engine.trace(request.get("path", "")) or {}

    def unload(self, request):
        if self.vocabulary:
            self.engine.unload()
        self.vocabulary = self.context = 0
        return {}

    bye = unload

    OPERATIONS = ("hello", "load", "generate", "logits", "memory", "trace", "unload", "bye")

    def answer(self, request):
        operation = request.get("op")
        try:
            if operation not in self.OPERATIONS:
                raise Failure("unknown_op", f'there is no request "{operation}"')
            return getattr(self, operation)(request)
        except Failure as failure:
            error = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        except MemoryError:
            error = {"code": "no_memory", "message": "out of memory"}
        except Exception as problem:  # an engine's bug must not take the worker with it
            sys.excepthook(*sys.exc_info())
            error = {"code": "failed", "message": f"{type(problem).__name__}: {problem}"}
            if disk_is_full(problem):
                error["hint"] = FREE_SPACE
        return {"error": error}


def serve(engine):
    """Serves requests until bye or the end of the pipe, then ends the process."""
    try:
        channel = _Channel(int(os.environ["PRONY_FD_IN"]), int(os.environ["PRONY_FD_OUT"]))
    except (KeyError, ValueError, OSError):
        sys.exit(
            "This program is a worker of Prony, which starts it and talks to it over the pipes in "
            "PRONY_FD_IN and PRONY_FD_OUT. Try: prony engines"
        )
    worker = _Worker(engine, channel)
    with contextlib.suppress(BrokenPipeError):
        while request := channel.receive():
            channel.send({"id": request.get("id"), **worker.answer(request)})
            if request.get("op") == "bye":
                break
    sys.exit(0)
