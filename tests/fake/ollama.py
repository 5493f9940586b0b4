#!/usr/bin/env python3
"""A stand-in for `ollama` in tests: its command line and as much of its API as the worker uses.

It reads the vocabulary of the model and makes ids of text as byte-level BPE does. Its answers are
words by chance, or with FAKE_OLLAMA=honest what Prony's native engine generates, and with
FAKE_OLLAMA=logprobs that of a version that tells its probabilities, too; behind a hyphen may be a fault
of these. Any other FAKE_OLLAMA is a fault; FAKE_OLLAMA_RECORD is a file that gets a line of JSON for
each request, and where a token is held back for each chunk.
"""

import array
import http.server
import json
import math
import mmap
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["PRONY_SOURCE"], "tests/e2e"))
sys.path.insert(0, os.path.join(os.environ["PRONY_SOURCE"], "engines/ollama"))
sys.path.insert(0, os.path.join(os.environ["PRONY_SOURCE"], "engines/sdk"))
from vocabulary import Vocabulary
from worker_host import Host

FAULT = os.environ.get("FAKE_OLLAMA", "")
TELLS, _, SPOILT = FAULT.partition("-") if FAULT.startswith("logprobs") else ("", "", "")
VERSION = {"old": "0.6.5", "no-version": ""}.get(FAULT, "0.12.11" if TELLS else "0.11.4")
ON_GPU = {"gpu": 500, "cuda": 1000, "no-backend": 1000}  # what it says of its 1000 bytes
NATIVE = os.path.join(os.environ["PRONY_BUILD"], "engines/native")
# Enough of the pre-tokenizer of Llama 3 for ASCII.
WORDS = re.compile(
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\w]?[A-Za-z]+|\d{1,3}| ?[^\s\w]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = ["<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?", "string", "array", "<Q", "<q", "<d"]
TYPES = {0: "F32", 1: "F16", 8: "Q8_0", 30: "BF16"}


class Gguf:
    """The metadata and the tensors' shapes and types."""

    def __init__(self, path):
        with open(path, "rb") as self.file:
            _, _, tensors, pairs = struct.unpack("<IIQQ", self.file.read(24))
            self.info = {self.string(): self.value(self.number("<I")) for _ in range(pairs)}
            self.tensors = [self.tensor() for _ in range(tensors)]

    def number(self, form):
        return struct.unpack(form, self.file.read(struct.calcsize(form)))[0]

    def string(self):
        return self.file.read(self.number("<Q")).decode()

    def value(self, kind):
        form = KINDS[kind]
        if form == "array":
            kind = self.number("<I")
            return [self.value(kind) for _ in range(self.number("<Q"))]
        return self.string() if form == "string" else self.number(form)

    def tensor(self):
        name, sizes = self.string(), self.number("<I")
        shape = [self.number("<Q") for _ in range(sizes)]
        kind = TYPES[self.number("<I")]
        self.number("<Q")
        return {"name": name, "type": kind, "shape": shape}


class Model:
    def __init__(self, path):
        self.file = Gguf(path)
        self.vocabulary = Vocabulary(self.file.info)
        merges = self.file.info["tokenizer.ggml.merges"]
        self.ranks = {
            merge.replace(" ", ""): rank for rank, merge in reversed([*enumerate(merges)])
        }
        tokens = self.file.info["tokenizer.ggml.tokens"]
        self.spelling = dict(zip(self.vocabulary.pieces, tokens))
        self.native = self._native(path) if TELLS or FAULT == "honest" else None
        pieces = enumerate(self.vocabulary.pieces)
        self.words = [i for i, piece in pieces if piece.strip().isalpha() and piece.isascii()]

    @staticmethod
    def _native(path):
        native = Host([os.path.join(NATIVE, "worker")], NATIVE, {})
        native.ask("hello", protocol=1)
        native.ask(
            "load", model=path, variant="native-f16", device="cpu", precision="", quantize="",
            shard=1, threads=1, context=256, options={},
        )  # fmt: skip
        return native

    def encode(self, text):
        """Ids of text: bos, and each word by its merges."""
        ids = [self.vocabulary.bos] * self.vocabulary.adds_bos
        for word in WORDS.findall(text):
            parts = [bytes([byte]) for byte in word.encode()]
            while True:
                pairs = [self.spelling.get(a + b) for a, b in zip(parts, parts[1:])]
                ranks = [self.ranks.get(pair, len(self.ranks)) for pair in pairs]
                if min(ranks, default=len(self.ranks)) == len(self.ranks):
                    break
                at = ranks.index(min(ranks))
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            ids += [self.vocabulary.numbers[part] for part in parts]
        return ids

    def probabilities(self, ids):
        """Of the best 20 ids after these: [text, logarithm], the best one first."""
        with tempfile.NamedTemporaryFile() as file:
            asked = self.native.ask("logits", ids=ids, path=file.name)
            row = array.array("f", file.read()[-4 * asked["columns"] :])
        if SPOILT == "warm":
            row = [value / 0.7 for value in row]
        high = max(row)
        log_sum = high + math.log(sum(math.exp(value - high) for value in row))
        best = sorted(range(len(row)), key=lambda i: -row[i])[:20]
        return [
            [self.vocabulary.pieces[i].decode(errors="replace"), row[i] - log_sum] for i in best
        ]

    def answer(self, ids, options):
        if self.native:
            return self.native.ask("generate", prompt=ids, tokens=options["num_predict"])["ids"]
        chance = random.Random(f"{ids} {options.get('seed')} {options.get('temperature')}")
        return [chance.choice(self.words) for _ in range(options["num_predict"])]


def record(line):
    if path := os.environ.get("FAKE_OLLAMA_RECORD"):
        with open(path, "a", encoding="utf-8") as file:
            print(json.dumps(line), file=file)


def spoil(told):
    """The fault of what is told of one token: a list of such."""
    if SPOILT == "missing":
        return None
    if SPOILT == "several":
        return [told, told]
    if SPOILT == "few":
        told.pop()
    elif SPOILT == "nan":
        told[3][1] = math.nan
    elif SPOILT == "positive":
        told[3][1] = 0.5
    elif SPOILT == "stranger":
        told[3][0] = "no such token"
    elif SPOILT == "twice":
        told[3][0] = told[2][0]
    elif SPOILT == "swapped":
        told[0][0], told[1][0] = told[1][0], told[0][0]
    elif SPOILT == "shuffled":  # all but the best
        told[1:] = [[told[i - 1 or 19][0], told[i][1]] for i in range(1, 20)]
    return [told]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model = blob = backend = None
    occupied = False  # by an answer that nobody reads any more

    def log_message(self, *_):
        pass

    def reply(self, answer, status=200):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        if self.path == "/api/version":
            self.reply({"version": VERSION})
        elif self.path == "/api/ps":
            self.reply({"models": [{"size": 1000, "size_vram": ON_GPU.get(FAULT, 0)}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        record({"path": self.path, "body": body, "env": dict(os.environ)})
        getattr(self, self.path.rpartition("/")[2])(body)

    def create(self, body):
        if FAULT == "full":
            return self.reply({"error": "write /x/blobs/sha256-1: no space left on device"}, 500)
        (digest,) = body["files"].values()
        Handler.blob = os.path.join(os.environ["OLLAMA_MODELS"], "blobs", digest.replace(":", "-"))
        return self.reply({"status": "success"})

    def show(self, _):
        file = Gguf(self.blob)
        level = {0: "unknown", 1: "F16", 32: "BF16"}.get(file.info.get("general.file_type"), "Q8_0")
        if FAULT == "quantized":
            level, file.tensors[0]["type"] = "Q4_0", "Q4_0"
        self.reply(
            {
                "details": {"quantization_level": level},
                "model_info": file.info,
                "tensors": file.tensors,
            }
        )

    def generate(self, body):
        if body["prompt"] == "":
            if body.get("keep_alive") != 0:
                Handler.model = Model(os.path.realpath(self.blob))
            elif self.model:
                if self.model.native:
                    self.model.native.close()
                Handler.model = None
            return self.reply({"done": True, "response": ""})
        if self.occupied:
            time.sleep(1000)
        ids = self.model.encode(body["prompt"])
        answer = self.model.answer(ids, body["options"])
        pieces = [self.model.vocabulary.pieces[i].decode(errors="replace") for i in answer]
        last = {
            "done": True, "done_reason": "length", "response": "",
            "prompt_eval_count": len(ids) + (FAULT == "prompt"), "prompt_eval_duration": 1,
            "eval_count": len(answer), "eval_duration": 1,
        }  # fmt: skip
        if TELLS and body.get("logprobs"):
            last["prompt_eval_count"] += SPOILT == "prompt"
            return self.reply({**last, "response": "".join(pieces), "logprobs": self.told(ids)})
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in self.lines(pieces, last):
            self.chunk(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        return self.chunk(b"")

    def told(self, ids):
        told = [
            [{"token": text, "logprob": value} for text, value in each]
            for each in spoil(self.model.probabilities(ids)) or []
        ]
        return [{**top[0], "top_logprobs": top} for top in told]

    def lines(self, pieces, last):
        """What is sent, with the fault in the fourth token of every answer that has so many."""
        for place, piece in enumerate(pieces):
            if place == 3 and FAULT == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if place == 3 and FAULT == "slow":
                time.sleep(1000)
            if place == 3 and FAULT == "occupied":
                Handler.occupied = not self.connection.recv(1)  # its client has hung up
            if place == 3 and FAULT == "junk":
                yield b"]]{\n"
            if place == 3 and FAULT == "error":
                yield {"error": "model runner has unexpectedly stopped"}
            if place == 3 and FAULT == "broken-off":
                return
            if place == 3 and FAULT == "ends":
                yield {**last, "done_reason": "stop", "eval_count": 4}
                return
            if place == 3 and FAULT == "held":
                pieces[4] = piece + pieces[4]
                continue
            if FAULT == "held":
                record({"path": "chunk", "sent_ns": time.monotonic_ns()})
            if place == 3 and FAULT == "dropped":
                continue
            yield {"response": piece, "done": False}
        if len(pieces) > 3 and FAULT == "more":
            yield {"response": pieces[0], "done": False}
        yield last


def backend_map():
    """As a runner that has loaded ggml's CUDA backend."""
    path = os.path.join(os.environ["HOME"], "libggml-cuda.so")
    with open(path, "w+b") as file:
        file.write(b"x")
        file.flush()
        return mmap.mmap(file.fileno(), 1)


def serve():
    address, port = os.environ["OLLAMA_HOST"].split(":")
    if FAULT == "port":
        sys.exit(f"Error: listen tcp {address}:{port}: bind: address already in use")
    pathlib.Path(os.environ["HOME"], ".ollama").mkdir(exist_ok=True)
    pathlib.Path(os.environ["HOME"], ".ollama/id_ed25519").write_text("a key")
    if FAULT == "orphan":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Handler.backend = backend_map() if FAULT == "cuda" else None
    http.server.ThreadingHTTPServer((address, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print("Warning: could not connect to a running Ollama instance")
        print(f"Warning: client version is {VERSION}")
    elif sys.argv[1:] == ["serve"]:
        serve()
    else:
        sys.exit(f"the fake knows no {sys.argv[1:]}")
