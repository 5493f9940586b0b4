"""ONNX Runtime's worker: plain.py and fused.py behind the protocol."""

import contextlib
import ctypes
import os
import platform

import numpy as np
import onnxruntime as ort
from fused import Fused, FusedGraph
from plain import Plain, PlainGraph
from profile_events import profile_take
from prony_model import LlamaFile
from prony_nvml import device_memory
from prony_sampling import Sampler
from prony_worker import Engine, Failure, process_memory, serve


class Device:
    """Where a session computes, and where its buffers lie."""

    def __init__(self, name):
        self.type, _, index = name.partition(":")
        self.index = int(index or 0)
        self.providers = ["CPUExecutionProvider"]
        if self.type == "cuda":
            # float32 is float32: without this it multiplies in TF32.
            options = {"device_id": str(self.index), "use_tf32": "0"}
            self.providers.insert(0, ("CUDAExecutionProvider", options))

    def array(self, values):
        """A buffer there, with these values."""
        return ort.OrtValue.ortvalue_from_numpy(values, self.type, self.index)

    def session(self, graph, options):
        """A session there: ONNX Runtime takes the CPU with a warning where its CUDA library does not load."""
        session = graph.session(options, self.providers)
        if self.type == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
            what = f"ONNX Runtime {ort.__version__} cannot use CUDA"
            hint = "Is a driver there that is new enough (nvidia-smi)? Try --device cpu."
            raise Failure("unsupported", what, hint)
        return session


@contextlib.contextmanager
def memory_told():
    """ONNX Runtime has one exception for all that goes wrong: this tells what is a want of memory."""
    try:
        yield
    except Exception as problem:
        words = str(problem)
        if "allocate memory" in words or "bad_alloc" in words:
            raise Failure("no_memory", f"out of memory: {words}") from None
        raise


class OnnxRuntime(Engine):
    name = "onnxruntime"
    version = ort.__version__
    stands_on = f"Python {platform.python_version()}"
    model = device = request = None
    trace_path = ""
    peak = 0

    def devices(self):
        gpu = "CUDAExecutionProvider" in ort.get_available_providers()
        return ["cpu"] + ["cuda"] * (gpu and os.path.exists("/dev/nvidiactl"))

    @memory_told()
    def load(self, request):
        if request.quantize or request.shard > 1:
            raise Failure("unsupported", "ONNX Runtime's worker can neither quantise nor shard")
        self.device = Device(request.device)
        self.request, self.fused = request, request.options["graph"] == "fused"
        self.dtype = self._dtype()
        if self.device.type == "cuda":
            self._find_cuda()
        self._open("")
        return {
            "vocabulary": self.vocabulary,
            "weight_bytes": self.model.weight_bytes,
            "kv_token_bytes": self.model.kv_token_bytes,
            "threads": request.threads,
            "precision": self.dtype,
            "detail": f"{request.options['graph']} graph, {self.model.session.get_providers()[0]}",
        }

    def _dtype(self):
        """16 bits are for CUDA: the CPU's kernels for them convert every weight at every use."""
        wanted = "float16" if self.fused and self.device.type == "cuda" else "float32"
        if self.request.precision not in ("", wanted):
            what = f"{self.request.variant} computes in {wanted} on {self.device.type}"
            raise Failure("unsupported", f"{what}, not in {self.request.precision}")
        return wanted

    def _find_cuda(self):
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            what = f"this build of ONNX Runtime {self.version} is for CPUs only"
            raise Failure("unsupported", what, "Install onnxruntime-gpu, or try --device cpu.")
        ort.preload_dlls(directory="")  # from NVIDIA's packages beside it

    def _open(self, profile):
        """Reads the model and makes the session, which profiles to files of that beginning."""
        request, options = self.request, ort.SessionOptions()
        options.intra_op_num_threads = request.threads
        if profile:
            options.enable_profiling, options.profile_file_prefix = True, profile
        with LlamaFile(request.model) as file:
            with request.phase("read"):
                if self.fused:
                    graph = FusedGraph(file, request.context, np.dtype(self.dtype))
                else:
                    graph = PlainGraph(file)
            self.vocabulary = file.config.vocabulary
        with request.phase("session"):
            self.model = (Fused if self.fused else Plain)(graph, options, self.device)
            ctypes.CDLL(None).malloc_trim(0)  # the graph's copy of the weights is free now

    def generate(self, prompt, sampling):
        model = self.model
        sampler = Sampler(sampling) if sampling.temperature > 0 else None
        with memory_told():
            model.prompt(prompt)
            while True:
                if sampler:
                    model.token = sampler.choose(model.logits)
                yield model.token
                model.step()

    @memory_told()
    def logits(self, ids):
        """The first half token by token, then again as one prompt, then on from there: each kernel
        that generate uses has its rows, and those behind the prompt read its keys and values."""
        rows = np.empty((len(ids), self.vocabulary), np.float32)
        half = (len(ids) + 1) // 2
        for i, token in enumerate(ids[:half]):
            rows[i] = self._forced(token) if i else self._begin([token])
        rows[half - 1] = self._begin(ids[:half])
        for i in range(half, len(ids)):
            rows[i] = self._forced(ids[i])
        return rows

    def _begin(self, ids):
        self.model.prompt(ids)
        return self.model.logits

    def _forced(self, token):
        self.model.token = token
        self.model.step()
        return self.model.logits

    def memory(self):
        memory = process_memory()
        if self.device is None or self.device.type != "cuda":
            return memory
        held, method = device_memory(self.device.index)
        if not method:
            return memory
        self.peak = max(self.peak, held)  # its arena keeps what it has allocated
        memory["method"] += f"; device: {method}"
        return {**memory, "device_bytes": held, "device_peak_bytes": self.peak}

    def trace(self, path):
        """A session profiles from its beginning or never, so it is made anew."""
        came_to = self._end_trace()
        self.trace_path, self.model = path, None
        self._open(path)
        return came_to

    def _end_trace(self):
        if not self.trace_path:
            return {}
        path, self.trace_path = self.trace_path, ""
        return profile_take(self.model.session.end_profiling(), path)

    def unload(self):
        self._end_trace()
        self.model = None


if __name__ == "__main__":
    serve(OnnxRuntime())
