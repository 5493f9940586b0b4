"""PyTorch's worker: model.py behind the protocol, eager or compiled."""

import contextlib
import dataclasses
import gc
import os
import platform
import re
import sys

CACHE = os.environ.get("PRONY_ENGINE_CACHE")
if CACHE:  # before torch is imported: what its compilers keep between processes
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(CACHE, "inductor")
    os.environ["TRITON_CACHE_DIR"] = os.path.join(CACHE, "triton")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from packed import Packed  # noqa: E402
from prony_model import LlamaFile  # noqa: E402
from prony_model.quantise import check_quantisable  # noqa: E402
from prony_model.shards import check_shards, cpu_devices, part_of  # noqa: E402
from prony_nvml import device_memory, devices_memory  # noqa: E402
from prony_sampling import Sampler  # noqa: E402
from prony_worker import Engine, Failure, Load, process_memory, serve  # noqa: E402

from model import Llama  # noqa: E402

# torch.compile's mode for the step of one token, and for a prompt, whose length changes: a graph
# recorded by CUDA has fixed shapes, so prompts have none.
MODES = {
    ("reduce-overhead", "cuda"): ("reduce-overhead", "default"),
    ("reduce-overhead", "cpu"): ("default", "default"),
    ("max-autotune", "cuda"): ("max-autotune", "max-autotune-no-cudagraphs"),
    ("max-autotune", "cpu"): ("max-autotune-no-cudagraphs", "max-autotune-no-cudagraphs"),
}
WARM_UP_STEPS = 3  # compiles, records, replays


def cpu_has_float16():
    """Whether the processor multiplies float16 itself, instead of converting each number."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        return re.search(r"\b(avx512_fp16|amx_fp16|asimdhp)\b", lines.read()) is not None


def as_torch(tensor):
    array = np.ascontiguousarray(tensor.array)
    if tensor.dtype == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def bytes_of(module):
    return sum(p.nbytes for p in module.parameters())


class PyTorch(Engine):
    name = "pytorch"
    version = torch.__version__

    def __init__(self):
        torch.set_grad_enabled(False)
        self.stands_on = f"Python {platform.python_version()}, CUDA {torch.version.cuda}"
        self.profile = self.shard = self.team = None
        self.compiled = False
        self.whole = False  # logits of all words, where each rank has some

    def devices(self):
        return ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]

    def _device(self, request):
        if request.device.startswith("cuda") and not torch.cuda.is_available():
            raise Failure(
                "unsupported",
                f"PyTorch {self.version} finds no GPU for {request.device}",
                "Is a driver there that is new enough? Try: nvidia-smi",
            )
        try:
            return torch.device(request.device)
        except RuntimeError as problem:
            raise Failure("unsupported", str(problem)) from None

    def _dtype(self, request, device):
        name = request.precision or request.options["precision"]
        if not request.precision and name == "float16" and device.type == "cpu":
            name = "float16" if cpu_has_float16() else "bfloat16"
        if request.quantize == "float16" and name != "float16":
            raise Failure("unsupported", f"{request.variant} has float16 by itself, or not at all")
        if name not in ("float32", "float16", "bfloat16"):
            raise Failure("unsupported", f'there is no precision "{name}" in PyTorch\'s worker')
        return name

    def load(self, request):
        self.device = self._device(request)
        if request.shard == 1:
            return self._load(request, 0)
        with request.phase("import"):
            import shard
        on_gpu = self.device.type == "cuda"
        devices = torch.cuda.device_count() if on_gpu else cpu_devices(request)
        with LlamaFile(request.model) as file:
            check_shards(file.config, request.shard, devices)
        with request.phase("ranks"):
            self.team = shard.Team(request.shard, on_gpu)
            meeting = shard.meeting()
        try:
            with self._together():
                self.team.order("load", {**dataclasses.asdict(request), "phases": []}, meeting)
                loaded = self._load(request, 0, meeting)
        except Failure:
            self._part()
            raise
        self.team.loading = False
        return loaded

    def _part(self):
        """The ranks go their ways."""
        self.team.part()
        self.follow_part(0)
        self.team.close()
        self.team = self.shard = None

    def _load(self, request, rank, meeting=None):
        """Loads a rank's part, or the whole."""
        if request.shard > 1:
            import shard

            self.shard = shard
            if self.device.type == "cuda":
                self.device = torch.device("cuda", rank)
                torch.cuda.set_device(self.device)
        precision = self._dtype(request, self.device)
        mode = request.options["compile"]
        if request.threads:
            torch.set_num_threads(max(1, request.threads // request.shard))
        try:
            self._read(request, getattr(torch, precision), rank)
        except RuntimeError as problem:
            if "memory" in str(problem):  # a GPU's, or the machine's
                raise Failure("no_memory", str(problem)) from None
            raise
        self.prompt, self.step = self.model.prompt, self.model.step
        self.compiled, self.warm = bool(mode), not mode
        if mode:
            self._compile(request, mode)
        embedding = 0 if self.model.output is None else bytes_of(self.model.embedding)
        cache = self.model.layers[0].attention.keys
        held = {
            "model": self.identity,
            "weight_bytes": bytes_of(self.model),
            "embedding_bytes": embedding,
            "kv_token_bytes": 2 * len(self.model.layers) * cache[:, 0].numel() * cache.itemsize,
            "threads": torch.get_num_threads(),
        }
        ranks = [held]
        if self.shard:
            ranks = self.shard.join(held, rank, request.shard, meeting, self.device)
        detail = f"the rest {precision}, " if request.quantize else ""
        return {
            **{key: sum(held[key] for held in ranks) for key in held if key != "model"},
            "vocabulary": self.vocabulary,
            "precision": request.quantize or precision,
            "detail": detail
            + (f"torch.compile {mode}" if mode else "eager")
            + (f", {len(ranks)} ranks" if self.shard else ""),
        }

    def _read(self, request, dtype, rank):
        with LlamaFile(request.model) as file:
            if request.quantize:
                check_quantisable(file, request.quantize, request.shard)
            stats = [os.stat(part.path) for part in file.files]
            self.identity = repr(
                (file.config, [(s.st_ino, s.st_size, s.st_mtime_ns) for s in stats])
            )
            self.vocabulary, config = file.config.vocabulary, file.config
            if self.shard:
                config = self.shard.config_part(config, request.shard)
            form = dtype, self.device, request.quantize
            with request.phase("make"):
                self.model = Llama.empty(config, request.context, *form)
            with request.phase("read"):
                slots = self.model.slots()
                for name, tensor in file.tensors():
                    module, row = slots[name]
                    part = part_of(name, tensor.array.shape, rank, request.shard)
                    if isinstance(module, Packed):
                        module.fill(row, tensor, part)
                        continue
                    values = as_torch(tensor)[part]
                    module.weight[row : row + len(values)].copy_(values)
                self._synchronise()
            if self.shard:
                self.shard.split(self.model, rank, request.shard, config.vocabulary)

    def _compile(self, request, mode):
        """Only says what is to be compiled: the first generate does it."""
        with request.phase("import"):
            from torch._dynamo import config as dynamo
            from torch._inductor import config
        # Of a prompt the length is dynamic, and no other number.
        dynamo.specialize_float = True
        config.coordinate_descent_tuning = mode == "max-autotune"
        step, prompt = MODES[mode, self.device.type]
        self.step = torch.compile(self.model.step, fullgraph=True, mode=step)
        self.prompt = torch.compile(self.model.prompt, fullgraph=True, dynamic=True, mode=prompt)

    def _synchronise(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @contextlib.contextmanager
    def _together(self):
        """What all ranks do. Without one of them the others cannot go on."""
        try:
            yield
        except RuntimeError as problem:
            self.team.fail(problem)

    @contextlib.contextmanager
    def _pass(self):
        """Of tokens through all parts."""
        with self._together(), self.team.waiting():
            yield
            self._synchronise()

    def _begin(self, ids):
        """Logits after a prompt, which are valid until the next step; the id is in the model."""
        if not self.team:
            return self._begin_part(ids)
        with self._pass():
            self.team.order("begin", ids, self.whole)
            return self._whole(self._begin_part(ids), len(ids))

    def _next(self):
        if not self.team:
            return self._next_part()
        with self._pass():
            self.team.order("next", self.whole)
            return self._whole(self._next_part(), 1)

    def _put(self, token):
        """What goes in next, in the place of what was chosen."""
        if self.team:
            self.team.order("put", token)
        self.model.id.fill_(token)

    def _move(self, position):
        if self.team:
            self.team.order("move", position)
        self.model.position.fill_(position)

    def _whole(self, logits, tokens):
        self.shard.count_bytes(self.model, tokens, self.whole)
        return self.shard.all_logits(self.model, logits) if self.whole else logits

    def follow_load(self, rank, fields, meeting):
        request = Load(**fields)
        self.device = self._device(request)
        self._load(request, rank, meeting)

    def follow_begin(self, _, ids, whole):
        self.whole = whole
        self._whole(self._begin_part(ids), len(ids))

    def follow_next(self, _, whole):
        self.whole = whole
        self._whole(self._next_part(), 1)

    def follow_put(self, _, token):
        self.model.id.fill_(token)

    def follow_move(self, _, position):
        self.model.position.fill_(position)

    def follow_part(self, _):
        """Recorded graphs have to go before the group whose exchanges are in them."""
        self._forget()
        if self.shard and self.shard.dist.is_initialized():
            self.shard.dist.destroy_process_group()

    def exchanged(self):
        return tuple(self.shard.exchanged.values()) if self.shard else (0, 0)

    def _begin_part(self, ids):
        if len(ids) == 1:  # a prompt of one is a step: dynamic shapes begin at 2
            self.model.id.fill_(ids[0])
            self.model.position.zero_()
            return self._next_part()
        return self.prompt(torch.tensor(ids, device=self.device))

    def _next_part(self):
        torch.compiler.cudagraph_mark_step_begin()
        return self.step()

    def _warm_up(self, prompt):
        """Everything is compiled within the first generate and before its first token, so that the
        cold start has all of it and no later token any."""
        context = len(self.model.places)
        if context > 1:
            self._begin((prompt * 2)[: max(2, len(prompt))])
        for position in range(WARM_UP_STEPS):
            self._move(position % context)
            self._next()
        self._synchronise()
        self.warm = True

    def generate(self, prompt, sampling):
        if not self.warm:
            self._warm_up(prompt)
        self.whole = self.team is not None and sampling.temperature > 0
        logits = self._begin(prompt)
        sampler = Sampler(sampling) if sampling.temperature > 0 else None
        while True:
            if sampler:
                self._put(sampler.choose(logits[0].cpu().numpy()))
            yield self.model.id.item()  # waits for the device
            logits = self._next()

    def logits(self, ids):
        """The first half token by token, then again as one prompt, then on from there: each kernel
        that generate uses has its rows, and those behind the prompt read its keys and values."""
        self.whole = self.team is not None
        rows = torch.empty(len(ids), self.vocabulary)
        half = (len(ids) + 1) // 2
        for i, token in enumerate(ids[:half]):
            rows[i] = self._begin([token])[0] if i == 0 else self._forced(token)
        rows[half - 1] = self._begin(ids[:half])[0]
        for i in range(half, len(ids)):
            rows[i] = self._forced(ids[i])
        return rows.numpy()

    def _forced(self, token):
        self._put(token)
        return self._next()[0]

    def memory(self):
        memory = process_memory()
        device = getattr(self, "device", None)
        if device is None or device.type != "cuda":
            return memory
        held, method = self._held()
        if not method:
            return memory
        # What the context and the libraries hold does not shrink; torch knows its own peak, and that of
        # one rank is the others'.
        ranks = len(self.team.others) + 1 if self.team else 1
        rest = held - ranks * torch.cuda.memory_reserved(device)
        peak = max(held, rest + ranks * torch.cuda.max_memory_reserved(device))
        memory["method"] += f"; device: {method}, peak with torch's own counters"
        return {**memory, "device_bytes": held, "device_peak_bytes": peak}

    def _held(self):
        """Of the device's memory, or of those of all ranks."""
        if not self.team:
            return device_memory(self.device.index or 0)
        ranks = [os.getpid(), *(other.pid for other in self.team.others)]
        return devices_memory(dict(enumerate(ranks)))

    def trace(self, path):
        self._end_trace()
        if path:
            self.trace_path = path
            self.profile = torch.profiler.profile()
            self.profile.start()

    def _end_trace(self):
        if self.profile:
            self.profile.stop()
            self.profile.export_chrome_trace(self.trace_path)
            self.profile = None

    def unload(self):
        self._end_trace()
        if self.team:
            self._part()
        self._forget()

    def _forget(self):
        self.model = self.prompt = self.step = None
        if self.compiled:
            torch.compiler.reset()
        if self.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        from shard import follow

        follow(PyTorch(), int(sys.argv[2]))
    else:
        serve(PyTorch())
