"""tinygrad's worker: model.py behind the protocol."""

import importlib.metadata
import json
import os
import platform
import shutil

import numpy as np
from prony_model import LlamaFile
from prony_model.quantise import check_quantisable
from prony_model.shards import check_shards, cpu_devices
from prony_nvml import devices_memory
from prony_sampling import Sampler
from prony_worker import Engine, Failure, process_memory, serve

WARM_UP_CALLS = 3  # a jit runs as it is, then records, then replays


def threads_used(request, version):
    """For the CPU, 0.14 has one thread, which computes the parts of a kernel one after the other, and those
    of a split model, whatever NUM_CPU_THREADS says."""
    serial = version.startswith("0.14.") and request.device == "cpu"
    return 1 if serial else request.threads // request.shard * request.shard


def device_names(request):
    """tinygrad's names: the device that is asked for, or the first ones of its kind."""
    if request.shard == 1:
        return [request.device.upper()]
    kind = request.device.partition(":")[0].upper()
    return [f"{kind}:{i}" for i in range(request.shard)]


class TinyGrad(Engine):
    name = "tinygrad"
    version = importlib.metadata.version("tinygrad")
    stands_on = f"Python {platform.python_version()}"
    settings = model = None
    trace_path = ""

    def start(self):
        """tinygrad is imported by load, which has its settings; what is missing of it shows here."""
        package = importlib.metadata.distribution("tinygrad")
        for line in (package.read_text("RECORD") or "").splitlines():
            path = line.partition(",")[0]
            if path.endswith(".py") and not package.locate_file(path).exists():
                raise ModuleNotFoundError(f"{path} is gone")

    def devices(self):
        return ["cpu"] + ["cuda"] * os.path.exists("/dev/nvidiactl")

    def load(self, request):
        precision = request.precision or "float16"
        if precision not in ("float32", "float16"):
            raise Failure("unsupported", f"tinygrad's worker has no precision {precision}")
        if request.device == "cpu" and not shutil.which("clang"):
            raise Failure(
                "unsupported",
                "tinygrad compiles for the CPU with clang, which is not there",
                "Run: apt-get install clang",
            )
        if request.shard > 1 and self.version.startswith("0.13."):
            what = f"tinygrad {self.version} mixes up the devices of a split model"
            raise Failure("unsupported", what, "Run: prony engines install tinygrad@0.14.0")
        with request.phase("import"):
            self._start(request)
            from model import Llama, device_open
        with request.phase("device"):
            try:
                devices = tuple(device_open(name) for name in device_names(request))
            except Exception as problem:  # whatever its drivers say
                if request.device == "cpu":
                    raise
                what = f"tinygrad cannot use {request.device}: {problem}"
                raise Failure("unsupported", what, "Try --device cpu.") from None
        with request.phase("read"), LlamaFile(request.model) as file:
            check_shards(file.config, request.shard, cpu_devices(request))
            if request.quantize:
                check_quantisable(file, request.quantize, request.shard)
            dtype = getattr(np, precision)
            self.model = Llama.read(file, request.context, devices, dtype, request.quantize)
        self.warm, self.peak = False, 0
        cache = self.model.layers[0].self_attn.cache
        packed = request.quantize and f"{request.quantize} matrices, other "
        return {
            "vocabulary": file.config.vocabulary,
            "weight_bytes": self.model.weight_bytes,
            "kv_token_bytes": cache.nbytes() // cache.shape[3] * file.config.layers,
            "threads": threads_used(request, self.version),
            "embedding_bytes": self.model.embedding_bytes,
            "precision": request.quantize or ("float32" if precision == "float32" else "mixed"),
            "detail": f"{packed}weights and KV cache {precision}, activations float32"
            + (f", {request.shard} devices" if request.shard > 1 else ""),
        }

    def _start(self, request):
        """tinygrad reads its settings from the environment, once."""
        settings = {"DEV": request.device.partition(":")[0].upper(), **request.options}
        if request.device == "cpu":
            settings.setdefault("CC", "clang")  # the user's may be another compiler
        if request.threads:
            # Of tinygrad 0.14, and of 0.13.
            threads = max(1, request.threads // request.shard)
            settings["NUM_CPU_THREADS"] = settings["CPU_COUNT"] = str(threads)
        if cache := os.environ.get("PRONY_ENGINE_CACHE"):
            settings["CACHEDB"] = os.path.join(cache, "cache.db")
        if self.settings not in (None, settings):
            raise Failure(
                "unsupported",
                "tinygrad takes device, threads and options once in a process",
                "Start another worker.",
            )
        self.settings = settings
        os.environ.update(settings)

    def _put(self, token):
        """An id as a step takes it."""
        return self.model.put(np.array([[token]], np.int32))

    def _step_logits(self, token, position):
        return self.model.fetch(self.model.step(self._put(token), position)[1])

    def _warm_up(self):
        """Everything is compiled within the first generate and before its first token, so that the
        cold start has all of it and no later token any."""
        token = self._put(0)
        for position in range(WARM_UP_CALLS):
            self.model.prompt([0])
            self.model.fetch(self.model.step(token, position % self.model.context)[0])
        self.warm = True

    def generate(self, prompt, sampling):
        if not self.warm:
            self._warm_up()
        token, logits = self.model.prompt(prompt)
        sampler = Sampler(sampling) if sampling.temperature > 0 else None
        position = len(prompt)
        while True:
            if sampler:
                token = self._put(sampler.choose(self.model.fetch(logits)[0]))
            yield int(self.model.fetch(token)[0, 0])  # waits for the device
            token, logits = self.model.step(token, position)
            position += 1

    def logits(self, ids):
        """The first half token by token, then again as one prompt, then on from there: each kernel
        that generate uses has its rows, and those behind the prompt read its keys and values."""
        if not self.warm:
            self._warm_up()
        half = (len(ids) + 1) // 2
        rows = [self._step_logits(token, at) for at, token in enumerate(ids[:half])]
        rows[-1] = self.model.fetch(self.model.prompt(ids[:half])[1])
        for i in range(half, len(ids)):
            rows.append(self._step_logits(ids[i], i))
        return np.concatenate(rows)

    def memory(self):
        memory = process_memory()
        if not self.model or not self.model.devices[0].startswith("CUDA"):
            return memory
        cards = [int(device.partition(":")[2] or 0) for device in self.model.devices]
        held, method = devices_memory(dict.fromkeys(cards, os.getpid()))
        if not method:
            return memory
        self.peak = max(self.peak, held)  # tinygrad keeps what it has allocated
        memory["method"] += f"; device: {method}"
        return {**memory, "device_bytes": held, "device_peak_bytes": self.peak}

    def trace(self, path):
        """Kernels are recorded anew for it: those made without the profiler have no time stamps."""
        from profile_events import clear, profile, take

        if self.trace_path:
            with open(self.trace_path, "w", encoding="utf-8") as file:
                json.dump(take(self.model.devices), file)
        self.trace_path = path
        self.model.forget_kernels()
        profile(bool(path))
        self._warm_up()
        clear()

    def unload(self):
        if self.trace_path:
            self.trace("")
        self.model = None


if __name__ == "__main__":
    serve(TinyGrad())
