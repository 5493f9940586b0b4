"""Ollama's worker: its server over HTTP behind the protocol. Text goes in and comes out; ids are made
of it here, by the model's vocabulary (docs/engines/ollama.md)."""

import array
import contextlib
import hashlib
import math
import os
import sys

from prony_worker import Engine, Failure, serve
from server import Server, Silent, check, numbers
from vocabulary import Vocabulary

MODEL = "prony"
ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
# What a model of such weights computes in: the KV cache and products of F32 weights are F16 and F32.
PRECISIONS = {"F32": "mixed", "F16": "float16", "BF16": "bfloat16"}
ALL_LAYERS = 999
TELLS_PROBABILITIES = (0, 12, 11)
TOLD = 20  # ids at a position, the most that it tells
HUNG_UP_S = 10  # for a single token, after an answer that was broken off


def digest_of(path):
    """A name for the blob. Ollama does not compare it with what a blob of its store has in it, and
    reading all of a file to name it would be neither needed nor free."""
    stat = os.stat(path)
    return hashlib.sha256(f"{path} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()


class Ollama(Engine):
    name = "ollama"
    partial_logits = True

    def __init__(self, program, folder):
        self.program, self.folder = os.path.realpath(program), folder
        self.stands_on = (
            f"the user's {self.program}" if os.path.islink(program) else "built by Prony"
        )
        self.server = self.vocabulary = None

    def start(self):
        self.version = check(self.program, self.folder)
        self.server = Server(self.program, self.folder)
        self.server.start()

    def stop(self):
        if self.server:
            self.server.stop()

    def devices(self):
        return ["cpu"] + ["cuda"] * os.path.exists("/dev/nvidiactl")

    def load(self, request):
        self._check(request)
        self.server.silence_s = request.options["silence_s"]
        devices = request.device.partition(":")[2] or "0" if request.device != "cpu" else None
        if self.server.devices != devices or not self.server.is_running():
            with request.phase("server"):
                self.server.start(devices)
        with request.phase("import"):
            self.model = request.model
            self._import(self.model)
            shown = self._show()
        info = shown["model_info"]
        level = self._level(shown)
        self.vocabulary = Vocabulary(info)
        self._context_check(info, request.context)
        self.runner = {"num_ctx": request.context}
        self.runner["num_gpu"] = 0 if request.device == "cpu" else ALL_LAYERS
        if request.threads:
            self.runner["num_thread"] = request.threads
        with request.phase("read"):
            self._read()
            self._device_check(request.device)
        return {
            "vocabulary": len(self.vocabulary.pieces),
            "weight_bytes": sum(
                math.prod(tensor["shape"]) * ELEMENT_BYTES[tensor["type"]]
                for tensor in shown["tensors"]
            ),
            "kv_token_bytes": kv_token_bytes(info),
            "threads": request.threads,
            "precision": PRECISIONS[level],
            "detail": f"{level} weights, KV cache F16; text in and out",
        }

    def _check(self, request):
        if request.quantize or request.shard > 1 or request.precision:
            raise Failure("unsupported", "Ollama runs a model as its file has it, on one device")
        try:
            with open(request.model, "rb") as file:
                magic = file.read(4)
        except FileNotFoundError:
            raise Failure("not_found", f"there is no model at {request.model}") from None
        except OSError as problem:
            raise Failure("bad_model", f"cannot read the model: {problem}") from None
        if magic != b"GGUF":
            raise Failure("unsupported", f"{request.model} is no GGUF file, which Ollama needs")

    def _ask(self, body, doing):
        body = {"model": MODEL, "stream": False, "options": self.runner, **body}
        return self.server.ask(doing, "POST", "/api/generate", body)

    def _import(self, model):
        """As `ollama create` would, but for the copy: the blob in the store is a link."""
        digest = digest_of(model)
        blob = os.path.join(self.folder, "models", "blobs", f"sha256-{digest}")
        try:
            os.makedirs(os.path.dirname(blob), exist_ok=True)
            if not os.path.islink(blob):
                os.symlink(model, blob)
        except OSError as problem:
            hint = "Set TMPDIR to a folder on another disk."
            raise Failure("failed", f"cannot write the model store: {problem}", hint) from None
        body = {"model": MODEL, "files": {"model.gguf": f"sha256:{digest}"}, "stream": False}
        self.server.ask("import the model", "POST", "/api/create", body)

    def _read(self):
        """The runner starts and maps the weights, which are there until they are unloaded."""
        self._ask({"prompt": "", "keep_alive": -1}, "load the model")

    def _show(self):
        body = {"model": MODEL, "verbose": True}
        return self.server.ask("show the model", "POST", "/api/show", body)

    @staticmethod
    def _level(shown):
        """F32, F16 or BF16, by the file's own word and by every tensor; nothing else is comparable.
        Old versions of Ollama call F32 unknown."""
        level = shown["details"]["quantization_level"]
        types = {tensor["type"] for tensor in shown["tensors"]}
        if level == "unknown" and types == {"F32"}:
            return "F32"
        if level not in PRECISIONS or not types <= ELEMENT_BYTES.keys():
            held = f"{level}, with tensors in {', '.join(sorted(types))}"
            raise Failure(
                "unsupported",
                f"Ollama says that it holds the model as {held}, and only F32, F16 and BF16 can be "
                "compared",
                "Make an unquantised one: prony model convert MODEL --precision float16",
            )
        return level

    @staticmethod
    def _context_check(info, context):
        """Ollama makes less of a context that is too long, and says so in its log alone."""
        most = info.get(f"{info['general.architecture']}.context_length", context)
        if context > most:
            what = f"a context of {context} is more than the {most} that Ollama gives this model"
            raise Failure("unsupported", what)

    def _device_check(self, device):
        """Ollama takes the CPU for what it cannot do on a GPU. What it tells is what it meant to do: its
        runner goes on without a backend that it could not load."""
        held = self.server.ask("tell what it runs", "GET", "/api/ps")["models"]
        size, on_gpu = (held[0]["size"], held[0].get("size_vram", 0)) if held else (0, 0)
        what = ""
        if on_gpu != (0 if device == "cpu" else size):
            what = f"Ollama holds {on_gpu} of the model's {size} bytes on a GPU"
        elif device != "cpu" and not self.server.has_mapped("libggml-cuda"):
            what = "Ollama has not loaded its CUDA backend"
        if what:
            hint = "Where nvcc is, Prony builds it for GPUs: prony engines install ollama@0.11.4"
            raise Failure("unsupported", f"{what}, and was to use {device}", hint)

    def generate(self, prompt, sampling):
        text, whole = self.vocabulary.text(prompt), True
        with contextlib.closing(self._stream(text, sampling)) as chunks:
            try:
                yield from self._ids(chunks, sampling)
            except GeneratorExit:  # the SDK has as many as it wants
                whole = not sampling.stream or self.count >= sampling.tokens
                end = next(chunks, None) if whole else None
                if not sampling.stream:
                    self._end_check(end, len(prompt), sampling.tokens)
        if whole:
            self._forget(text)
        else:
            self._forget_or_start_anew(text)

    def _ids(self, chunks, sampling):
        """Each as its chunk arrives; of a chunk that has several, all of them then."""
        self.count = 0
        for chunk in chunks:
            if chunk.get("done"):
                yield from self._early_end(chunk, sampling)
                return
            response = chunk.get("response")
            if not isinstance(response, str):
                raise Failure("failed", f"Ollama sent a chunk without a response: {chunk}")
            ids = self.vocabulary.ids(response)
            self.count += len(ids)
            yield from ids
        raise self.server.broken_off("generate")

    def _early_end(self, end, sampling):
        """Fewer ids than were asked for: an answer's end when somebody talks, else a failure."""
        if sampling.stream:
            if end.get("done_reason") == "stop" and self.vocabulary.eos is not None:
                yield self.vocabulary.eos  # Ollama does not tell which id it was
            return
        if end.get("done_reason") == "stop":
            raise Failure(
                "failed",
                f"Ollama ended the text after {self.count} of {sampling.tokens} tokens: it cannot be "
                "told to go on after an end-of-text",
                "Take fewer tokens, a prompt of another length, or another model.",
            )
        self._count_check(end)
        raise Failure("failed", f"Ollama gave {self.count} of {sampling.tokens} tokens")

    def _count_check(self, end):
        if end.get("eval_count") != self.count:
            raise Failure(
                "failed",
                f"Ollama counts {end.get('eval_count')} tokens in an answer whose text is "
                f"{self.count}: it holds back, or drops, bytes that are no whole character",
                "Take another number of tokens, or a prompt of another length.",
            )

    def _end_check(self, end, prompt, tokens):
        """What the last chunk tells, after a timed generation."""
        if end is None:
            raise self.server.broken_off("generate")
        if not end.get("done") or self.count > tokens:
            raise Failure("failed", f"Ollama sent more than the {tokens} tokens it was asked for")
        if end.get("prompt_eval_count") != prompt:
            raise Failure(
                "unsupported",
                f"Ollama makes {end.get('prompt_eval_count')} ids of the text of the prompt's "
                f"{prompt}: its measurement would be another",
                "Take a prompt of another length.",
            )
        self._count_check(end)
        durations = (end.get(f"{name}_duration") for name in ("load", "prompt_eval", "eval"))
        print(*("Ollama's own:", *durations, "ns to the prompt, of it, and of", tokens, "tokens"))

    def logits(self, ids):
        """Log-probabilities of the best TOLD ids, where a word ends; a request for each, of which the
        prefix cache makes one step."""
        if numbers(self.version) < TELLS_PROBABILITIES:
            what = f"Ollama {self.version} tells no probabilities; 0.12.11 is the first that does"
            raise Failure("unsupported", what)
        width = len(self.vocabulary.pieces)
        matrix, text = array.array("f", [math.nan]) * (len(ids) * width), ""
        for end in self.vocabulary.word_ends(ids):
            text = self.vocabulary.text(ids[:end])
            answer = self._ask(
                {"prompt": text, "raw": True, "logprobs": True, "top_logprobs": TOLD}
                | {"options": {**self.runner, "num_predict": 1, "temperature": 0}},
                "tell probabilities",
            )
            if answer.get("prompt_eval_count") != end:
                break  # it makes other ids of this text, from here on
            for number, value in probabilities(answer, self.vocabulary).items():
                matrix[(end - 1) * width + number] = value
        self._forget(text)
        return matrix

    def _forget(self, text):
        """The prefix cache is always on. Another text takes this one's place in it."""
        other = "1" if text.startswith("0") else "0"
        self._ask(
            {"prompt": other, "raw": True, "options": {**self.runner, "num_predict": 1}},
            "forget a prompt",
        )

    def _forget_or_start_anew(self, text):
        """Ollama may keep its only place for an answer that somebody hung up on (0.11.4): whoever asks
        then waits for ever (docs/engines/ollama.md)."""
        try:
            with self.server.impatient(HUNG_UP_S):
                self._forget(text)
        except Silent as problem:
            print(f"{problem}: it is started anew")
            self.server.start(self.server.devices)
            self._import(self.model)
            self._read()

    def _stream(self, text, sampling):
        options = {
            **self.runner,
            "num_predict": sampling.tokens,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "seed": sampling.seed & 0x7FFFFFFF,
            "repeat_penalty": 1.0,
            "stop": [],  # Ollama would hold back what looks like the beginning of one
        }
        body = {"model": MODEL, "prompt": text, "raw": True, "options": options}
        return self.server.stream("generate", "POST", "/api/generate", body)

    def unload(self):
        if self.server.is_running():
            self._ask({"prompt": "", "keep_alive": 0}, "unload the model")


def probabilities(answer, vocabulary):
    """By id, of the one token of an answer; none where its best id cannot be told by its text."""
    told = answer.get("logprobs")
    if not told and not answer.get("response"):
        return {}  # it ended the text, or dropped bytes that are no whole character
    if not isinstance(told, list) or len(told) != 1:
        raise Failure(
            "failed", f"Ollama told probabilities of no token, or of several: {told}"[:200]
        )
    top = told[0].get("top_logprobs") or []
    if len(top) != min(TOLD, len(vocabulary.pieces)):
        what = f"Ollama told the probabilities of {len(top)} tokens where {TOLD} were asked for"
        raise Failure("failed", what)
    values = [each.get("logprob") for each in top]
    for value in values:
        if not isinstance(value, (int, float)) or not -math.inf < value <= 0:
            raise Failure("failed", f"Ollama told the logarithm of a probability to be {value}")
    named = [vocabulary.number(each.get("token")) for each in top]
    known = [number for number in named if number is not None]
    if len(set(known)) < len(known):
        raise Failure("failed", "Ollama told the probability of a token twice")
    if named[values.index(max(values))] is None:
        return {}
    return {number: value for number, value in zip(named, values) if number is not None}


def kv_token_bytes(info):
    """Keys and values of one position, F16, all layers."""
    of = lambda key: info.get(f"{info['general.architecture']}.{key}")  # noqa: E731
    heads = of("attention.head_count")
    head = of("attention.key_length") or of("embedding_length") // heads
    return 2 * 2 * of("block_count") * (of("attention.head_count_kv") or heads) * head


if __name__ == "__main__":
    engine = Ollama(sys.argv[1], os.environ["PRONY_ENGINE_SCRATCH"])
    try:
        serve(engine)
    finally:
        engine.stop()
