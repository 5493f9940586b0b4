"""vLLM's worker: its engine in this process, stepped by hand behind the protocol. Where it splits a
model over cards, it starts a process for each of them."""

import gc
import os
import platform
from itertools import count

# Before vllm is imported: the engine runs here and not in a process of its own, so that a step's end
# is seen as it happens; what its compilers keep goes where the host says; nothing is sent home.
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1")
os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"  # CUDA has begun here when shards are started
CACHE = os.environ.get("PRONY_ENGINE_CACHE")
if CACHE:
    os.environ["VLLM_CACHE_ROOT"] = os.path.join(CACHE, "vllm")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(CACHE, "inductor")
    os.environ["TRITON_CACHE_DIR"] = os.path.join(CACHE, "triton")
    os.environ["FLASHINFER_WORKSPACE_BASE"] = os.path.join(CACHE, "flashinfer")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import vllm  # noqa: E402
from prony_model import LlamaFile, expected_shapes  # noqa: E402
from prony_model.shards import check_shards  # noqa: E402
from prony_nvml import device_memory, devices_memory  # noqa: E402
from prony_worker import Engine, Failure, process_memory, serve  # noqa: E402
from vllm import LLM, SamplingParams, TokensPrompt  # noqa: E402
from vllm.distributed.parallel_state import cleanup_dist_env_and_memory  # noqa: E402
from vllm.sampling_params import RequestOutputKind  # noqa: E402

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
ROOM = 256  # the cache's blocks divide it, whatever attention is chosen


def folder_of(path):
    """vLLM takes the folder of a model."""
    if os.path.isdir(path):
        return path
    if os.path.basename(path) != "model.safetensors":
        raise Failure(
            "unsupported",
            f"vLLM takes a folder with config.json and model.safetensors, not {path}",
            "Name the folder, or convert the model: prony model convert MODEL --output FOLDER",
        )
    return os.path.dirname(path) or "."


def device_choose(name, count):
    """vLLM takes the first cards that CUDA shows: what is asked for is made those. It must be done before
    CUDA begins."""
    number = int(name.partition(":")[2] or 0) if count == 1 else 0
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    cards = shown.split(",") if shown else [str(i) for i in range(number + count)]
    if number + count > len(cards):
        what = f"there is no {name}" if count == 1 else f"there are not {count} cards"
        raise Failure("unsupported", f"{what}: CUDA_VISIBLE_DEVICES is {shown}")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(cards[number : number + count])
    if torch.cuda.device_count() < count:
        raise Failure(
            "unsupported",
            f"vLLM {vllm.__version__} finds {torch.cuda.device_count()} of {count} GPUs for {name}",
            "Is a driver there that is new enough? Try: nvidia-smi",
        )


def cache_bytes(config, context, precision):
    """Bytes of a cache for one sequence, and of one of its positions."""
    position = 2 * config.layers * config.kv_heads * config.head_size * BYTES[precision]
    return position * ROOM * (-(-context // ROOM) + 1), position


class Vllm(Engine):
    name = "vllm"
    version = vllm.__version__
    stands_on = f"Python {platform.python_version()}, torch {torch.__version__}"

    def __init__(self):
        self.llm = self.device = None  # self.device: the name of the first card, and how many
        self.requests = count()

    def devices(self):
        return ["cuda"]

    def _check(self, request):
        if request.quantize:
            raise Failure("unsupported", "vLLM's worker cannot quantise")
        precision = request.precision or request.options["precision"]
        if precision not in BYTES:
            raise Failure("unsupported", f'there is no precision "{precision}" in vLLM\'s worker')
        if self.device not in (None, (request.device, request.shard)):
            raise Failure(
                "unsupported", "this process has begun on {} with {} cards".format(*self.device)
            )
        return precision

    def load(self, request):
        precision = self._check(request)
        with request.phase("read"), LlamaFile(request.model) as file:
            config = file.config
        check_shards(config, request.shard, request.shard)
        if self.device is None:
            device_choose(request.device, request.shard)
            self.device = request.device, request.shard
        # One more position than is asked for, and an id: what logits() asks with.
        context = request.context + 2
        cache, position = cache_bytes(config, context, precision)
        try:
            with request.phase("engine"):
                self.llm = LLM(
                    folder_of(request.model),
                    skip_tokenizer_init=True,
                    dtype=precision,
                    max_model_len=context,
                    max_num_seqs=1,
                    enable_prefix_caching=False,
                    enforce_eager=request.options["enforce_eager"],
                    kv_cache_memory_bytes=cache // request.shard,
                    tensor_parallel_size=request.shard,
                    distributed_executor_backend="mp" if request.shard > 1 else None,
                    max_logprobs=-1,
                    logprobs_mode="raw_logits",
                )
        except torch.OutOfMemoryError as problem:
            raise Failure("no_memory", str(problem), "Ask for a smaller --context.") from None
        self.vocabulary = config.vocabulary
        elements = sum(
            int(np.prod(shape)) * (request.shard if len(shape) == 1 else 1)  # norms are on each
            for shape in expected_shapes(config).values()
        )
        how = "eager" if request.options["enforce_eager"] else "compiled, CUDA graphs"
        return {
            "vocabulary": config.vocabulary,
            "weight_bytes": elements * BYTES[precision],
            "kv_token_bytes": position,
            "precision": precision,
            "detail": how + (f", {request.shard} cards" if request.shard > 1 else ""),
        }

    def _add(self, ids, params):
        """Hands a prompt over; nothing is computed before the first step. Returns our name for it."""
        name = str(next(self.requests))
        self.llm.llm_engine.add_request(name, TokensPrompt(prompt_token_ids=ids), params)
        return name

    def _outputs(self):
        """What each step brings, until nothing is left to do."""
        engine = self.llm.llm_engine
        while engine.has_unfinished_requests():
            yield from engine.step()

    def generate(self, prompt, sampling):
        params = SamplingParams(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            seed=sampling.seed & (1 << 63) - 1 if sampling.temperature > 0 else None,
            max_tokens=sampling.tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        name = self._add(prompt, params)
        try:
            for output in self._outputs():
                yield from output.outputs[0].token_ids
        finally:
            self.llm.llm_engine.abort_request([name])

    def logits(self, ids):
        """vLLM scores each id of a prompt but the first, by the logits after those before it: one
        more id behind them, whichever, makes a row for each of ours."""
        params = SamplingParams(
            temperature=0,
            max_tokens=1,
            prompt_logprobs=-1,
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._add([*ids, 0], params)
        (output,) = self._outputs()
        scores = output.prompt_logprobs
        rows = np.full((len(ids), self.vocabulary), np.nan, np.float32)
        for i, row in enumerate(rows):
            which = slice(scores.start_indices[i + 1], scores.end_indices[i + 1])
            row[scores.token_ids[which]] = scores.logprobs[which]
        if np.isnan(rows).any():
            raise Failure("failed", "vLLM did not score the whole vocabulary")
        return rows

    def memory(self):
        memory = process_memory()
        if self.llm is None:
            return memory
        cards = self.device[1]
        if cards > 1:  # other processes hold them, whose torch counts by itself
            held, method = devices_memory(dict.fromkeys(range(cards), 0))
            memory["method"] += f"; device: {method}, peak as it is now"
            return {**memory, "device_bytes": held, "device_peak_bytes": held} if method else memory
        held, method = device_memory(0)
        if not method:
            return memory
        # What the context and the libraries hold does not shrink; torch knows its own peak.
        rest = held - torch.cuda.memory_reserved()
        peak = max(held, rest + torch.cuda.max_memory_reserved())
        memory["method"] += f"; device: {method}, peak with torch's own counters"
        return {**memory, "device_bytes": held, "device_peak_bytes": peak}

    def unload(self):
        self.llm.llm_engine.engine_core.shutdown()
        self.llm = None
        gc.collect()
        cleanup_dist_env_and_memory()


if __name__ == "__main__":
    serve(Vllm())
