"""A worker written without the SDK, honest unless its argument names a fault.

test_conformance.py runs `prony engines check` on each fault and expects it to be found.
"""

import array
import hashlib
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

FAULT = sys.argv[1]
VOCABULARY = 512
POOL = ThreadPoolExecutor(1)
FD_IN, FD_OUT = int(os.environ["PRONY_FD_IN"]), int(os.environ["PRONY_FD_OUT"])


class Refusal(Exception):
    pass


class Honest:
    """Ids are sums of what came before."""

    def __init__(self):
        self.pending = b""
        self.context = 0

    # The pipes

    def read_line(self, wait=True):
        while b"\n" not in self.pending:
            if not wait:
                os.set_blocking(FD_IN, False)
            try:
                data = os.read(FD_IN, 65536)
            except BlockingIOError:
                return None
            finally:
                os.set_blocking(FD_IN, True)
            if not data:
                self.at_end()
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def at_end(self):
        sys.exit(0)

    def write(self, data):
        while data:
            data = data[os.write(FD_OUT, data) :]

    def send(self, message):
        self.write(json.dumps(message).encode() + b"\n")

    def run(self):
        while True:
            request = self.read_line()
            if request["op"] != "cancel":
                self.answer(request)

    def answer(self, request):
        try:
            handler = getattr(self, "op_" + request["op"].replace("-", "_"), None)
            if not handler:
                raise Refusal("unknown_op")
            reply = handler(request)
        except Refusal as refusal:
            reply = {"error": {"code": str(refusal), "message": "no"}}
        self.send({"id": request["id"], **reply})
        if request["op"] == "bye":
            self.leave()

    def leave(self):
        sys.exit(0)

    # The requests

    def op_hello(self, request):
        return {"protocol": 1, "engine": "broken", "version": "1", "devices": ["cpu"]}

    def op_load(self, request):
        start = time.monotonic_ns()
        if not os.path.exists(request["model"]):
            raise Refusal("not_found")
        self.context = request["context"]
        return {
            "phases": [{"name": "read", "start_ns": start, "end_ns": time.monotonic_ns()}],
            "weight_bytes": self.weight_bytes(request["quantize"]),
            "kv_token_bytes": 1,
            "vocabulary": VOCABULARY,
            "precision": self.precision(request["quantize"]),
        }

    def weight_bytes(self, quantize):
        return 1 if quantize else 4

    def precision(self, quantize):
        return quantize or "float32"

    def check(self, request):
        prompt, tokens = request["prompt"], request["tokens"]
        if not prompt or tokens < 1 or len(prompt) + tokens > self.context:
            raise Refusal("bad_request")
        if not all(0 <= i < VOCABULARY for i in prompt):
            raise Refusal("bad_request")

    def next_id(self, ids, request):
        return (sum(ids) * 31 + len(ids) + request.get("seed", 0)) % VOCABULARY

    def cancelled(self, request):
        return self.read_line(wait=False) is not None

    def op_generate(self, request):
        self.check(request)
        ids, stamps = list(request["prompt"]), []
        prompt_ns = time.monotonic_ns()
        for _ in range(request["tokens"]):
            ids.append(self.next_id(ids, request))
            stamps.append(time.monotonic_ns())
            if request.get("stream"):
                self.send({"id": request["id"], "event": "token", "token": ids[-1]})
                if self.cancelled(request):
                    break
            if ids[-1] in request.get("stop", []):
                break
        return {
            "prompt_ns": prompt_ns,
            "ids": ids[len(request["prompt"]) :],
            "stamps_ns": stamps,
        }

    def logits_rows(self, request):
        ids = request["ids"]
        for i in range(len(ids)):
            row = array.array("f", [0.0] * VOCABULARY)
            row[self.next_id(ids[: i + 1], {})] = 1.0
            yield row

    def op_logits(self, request):
        with open(request["path"], "wb") as file:
            for row in self.logits_rows(request):
                row.tofile(file)
        return {"rows": len(request["ids"]), "columns": VOCABULARY}

    def op_memory(self, request):
        return {"host_bytes": 1000, "host_peak_bytes": 2000, "method": "invented"}

    def op_unload(self, request):
        self.context = 0
        return {}

    op_bye = op_unload


def fault(operation, change):
    """An honest worker whose reply to one operation is changed."""

    class Broken(Honest):
        def answer(self, request):
            self.request = request
            super().answer(request)

    def handler(self, request):
        reply = getattr(Honest, "op_" + operation)(self, request)
        return change(self, reply) or reply

    setattr(Broken, "op_" + operation, handler)
    return Broken


def with_method(**methods):
    return type("Broken", (Honest,), methods)


def raw(data, then=lambda: None):
    """Sends bytes in place of the reply to generate."""

    def change(self, reply):
        self.write(data(self) if callable(data) else data)
        then()
        sys.exit(0)

    return fault("generate", change)


def hang():
    time.sleep(1000)


def die(self, reply):
    print("Traceback: the device is on fire", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leave_child(self, reply):
    if os.fork() == 0:
        os.setsid()
        for fd in (FD_IN, FD_OUT):
            os.close(fd)
        hang()


def close_pipe(self, reply):
    os.close(FD_OUT)
    hang()


def remember(self, ids, request):
    self.count = getattr(self, "count", 0) + (self.request_prompt != request["prompt"])
    self.request_prompt = request["prompt"]
    return (sum(ids) * 31 + len(ids) + self.count) % VOCABULARY


def noise(self, reply):
    print("A progress bar, and a warning. " * 10000, flush=True)
    print("\x1b[31m\x00\xff", file=sys.stderr, flush=True)


def put(**members):
    return lambda self, reply: reply.update(members)


def put_stamps(change):
    def apply(self, reply):
        change(reply["stamps_ns"])

    return apply


def bad_row(change):
    def logits_rows(self, request):
        for row in Honest.logits_rows(self, request):
            yield change(row)

    return logits_rows


def other_stream(self, reply):
    if self.request.get("stream"):
        reply["ids"] = [(i + 1) % VOCABULARY for i in reply["ids"]]


def reply_twice(self, reply):
    self.send({"id": self.request["id"], **reply})


def random_id(self, ids, request):
    return int.from_bytes(os.urandom(1), "little")


def take_any_context(self, request):
    if not request["prompt"] or request["tokens"] < 1 or not self.context:
        raise Refusal("bad_request")
    if not all(0 <= i < VOCABULARY for i in request["prompt"]):
        raise Refusal("bad_request")


def refuse_strangers(self, request):
    known = {"id", "op", "prompt", "tokens", "stream", "stop", "seed", "temperature"}
    if set(request) - known - {"top_k", "top_p", "min_p"}:
        raise Refusal("bad_request")
    Honest.check(self, request)


def swallow(self, request):
    self.read_line(wait=False)
    return False


def exit_at_unknown(self, request):
    if request["op"] == "no-such-op":
        sys.exit(4)
    Honest.answer(self, request)


def accept_unknown(self, request):
    return {}


def stop_late(self, request):
    request.pop("stop", None)
    return Honest.op_generate(self, request)


def any_seed(self, ids, request):
    if request.get("temperature"):
        return random_id(self, ids, request)
    return Honest.next_id(self, ids, request)


def compute():
    """Long enough that two that do it share a busy processor, instead of taking turns."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 100000)  # lets other threads run beside it


def load_with_threads(self, request):
    """As many as it is told, for a model that is large enough for them; 0 where nothing is said."""
    self.threads = request["threads"]
    told = {"threads": self.threads, "weight_bytes": 10**9}
    return {**Honest.op_load(self, request), **told}


def compute_twice(self, ids, request):
    """By two threads, whatever it is told."""
    if self.threads:
        other = POOL.submit(compute)
        compute()
        other.result()
    return Honest.next_id(self, ids, request)


def compute_once(self, ids, request):
    """By one, whatever it is told."""
    if self.threads:
        compute()
    return Honest.next_id(self, ids, request)


def forget_model(self, request):
    reply = Honest.op_load(self, request)
    self.loads = getattr(self, "loads", 0) + 1
    self.next_id = lambda ids, r: (sum(ids) + self.loads) % VOCABULARY
    return reply


FAULTS = {
    "honest": Honest,
    "noisy": fault("generate", noise),
    "no-hello": fault("hello", lambda self, reply: hang()),
    "exits-early": fault("hello", lambda self, reply: sys.exit(0)),
    "wrong-version": fault("hello", put(protocol=2)),
    "no-name": fault("hello", put(engine=None)),
    "no-devices": fault("hello", put(devices=[])),
    "talks-unasked": fault("hello", reply_twice),
    "exits-at-unknown": with_method(answer=exit_at_unknown),
    "accepts-unknown": with_method(op_no_such_op=accept_unknown),
    "any-model": with_method(
        op_load=lambda self, request: Honest.op_load(self, {**request, "model": "/"})
    ),
    "bye-status": with_method(leave=lambda self: sys.exit(3)),
    "ignores-bye": with_method(leave=lambda self: None),
    "ignores-end": with_method(at_end=lambda self: hang()),
    "hangs-in-load": fault("load", lambda self, reply: hang()),
    "vocabulary-0": fault("load", put(vocabulary=0)),
    "old-phases": fault("load", put(phases=[{"name": "read", "start_ns": 1, "end_ns": 2}])),
    "leaves-child": fault("load", leave_child),
    "dies": fault("generate", die),
    "exits-in-generate": raw(b""),
    "closes-pipe": fault("generate", close_pipe),
    "garbage": raw(b"Loading checkpoint shards: 100%\n"),
    "not-utf8": raw(b'{"id": 1, "ids": "\xff"}\n'),
    "list": raw(b"[1, 2]\n"),
    "half-line": raw(b'{"id": 3, "ids": [1, 2', hang),
    "half-line-exit": raw(b'{"id": 3, "ids": [1, 2'),
    "huge-line": raw(b"x" * (33 << 20)),
    "wrong-id": fault("generate", put(id=99)),
    "no-id": fault("generate", put(id=None)),
    "replies-twice": fault("generate", reply_twice),
    "stray-event": raw(
        lambda self: b'{"id": %d, "event": "token", "token": 1}\n' % self.request["id"]
    ),
    "missing-stamp": fault("generate", put_stamps(lambda stamps: stamps.pop())),
    "unordered-stamps": fault("generate", put_stamps(lambda stamps: stamps.reverse())),
    "future-stamps": fault(
        "generate", put_stamps(lambda stamps: stamps.append(stamps.pop() + 10**10))
    ),
    "early-prompt": fault("generate", put(prompt_ns=1)),
    "text-stamps": fault("generate", put_stamps(lambda stamps: stamps.append(str(stamps.pop())))),
    "id-outside": fault(
        "generate", lambda self, reply: reply["ids"].append(reply["ids"].pop() + VOCABULARY)
    ),
    "negative-id": fault(
        "generate", lambda self, reply: reply["ids"].append(-1 - reply["ids"].pop())
    ),
    "too-few": fault(
        "generate", lambda self, reply: (reply["ids"].pop(), reply["stamps_ns"].pop())[2:]
    ),
    "too-many": fault(
        "generate",
        lambda self, reply: (
            reply["ids"].append(1),
            reply["stamps_ns"].append(reply["stamps_ns"][-1]),
        )[2:],
    ),
    "random": with_method(next_id=random_id),
    "remembers": with_method(next_id=remember, request_prompt=None),
    "any-context": with_method(check=take_any_context),
    "strict-members": with_method(check=refuse_strangers),
    "error-no-message": with_method(
        check=lambda self, request: self.send({"id": request["id"], "error": {"code": "x"}})
    ),
    "memory-0": fault("memory", put(host_bytes=0)),
    "memory-peak": fault("memory", put(host_peak_bytes=10)),
    "logits-shape": fault("logits", put(columns=7)),
    "logits-short": with_method(logits_rows=bad_row(lambda row: row[1:])),
    "logits-nan": with_method(
        logits_rows=bad_row(lambda row: array.array("f", [float("nan")] * VOCABULARY))
    ),
    "logits-other": with_method(logits_rows=bad_row(lambda row: row[1:] + row[:1])),
    "other-stream": fault("generate", other_stream),
    "ignores-stop": with_method(op_generate=stop_late),
    "ignores-cancel": with_method(cancelled=swallow),
    "any-seed": with_method(next_id=any_seed),
    "other-after-load": with_method(op_load=forget_model),
    "more-threads": with_method(next_id=compute_twice, op_load=load_with_threads),
    "says-more-threads": fault("load", put(threads=3)),
    "fewer-threads": with_method(next_id=compute_once, op_load=load_with_threads),
    "holds-as-much": with_method(weight_bytes=lambda self, quantize: 4),
    "other-precision": with_method(precision=lambda self, quantize: "float16"),
}

FAULTS[FAULT]().run()
