"""A vLLM that computes nothing of a model, and takes no call that vLLM 0.33 would not take.

What follows ids is made up from them alone. FAKE_VLLM holds words: "no-memory" lets loading fail so, and
"half" leaves scores out.
"""

import json
import os

import numpy as np
import torch

from .sampling_params import RequestOutputKind, SamplingParams

__version__ = "0.33.0"
__all__ = ["LLM", "SamplingParams", "TokensPrompt"]


def TokensPrompt(*, prompt_token_ids):
    return {"prompt_token_ids": prompt_token_ids}


def scores_after(ids, vocabulary):
    seed = sum((i + 1) * (token + 1) for i, token in enumerate(ids))
    return np.random.default_rng(seed).normal(size=vocabulary).astype(np.float32)


class Flat:
    def __init__(self):
        self.start_indices, self.end_indices = [0], [0]  # the first id has no scores
        self.token_ids, self.logprobs = [], []

    def append(self, token, scores):
        """The prompt's own id, then all in order of their scores: one comes twice."""
        order = np.argsort(-scores).tolist()
        if "half" in os.environ.get("FAKE_VLLM", ""):
            order = order[: len(order) // 2]
        self.start_indices.append(len(self.token_ids))
        for i in [token, *order]:
            self.token_ids.append(i)
            self.logprobs.append(float(scores[i]))
        self.end_indices.append(len(self.token_ids))


class Completion:
    def __init__(self, token_ids):
        self.token_ids = token_ids


class Output:
    def __init__(self, token_ids, prompt_logprobs):
        self.outputs, self.prompt_logprobs = [Completion(token_ids)], prompt_logprobs


class EngineCore:
    def shutdown(self):
        pass


class Engine:
    def __init__(self, vocabulary, longest, raw):
        self.vocabulary, self.longest, self.raw = vocabulary, longest, raw
        self.engine_core, self.request = EngineCore(), None
        self.names = set()

    def add_request(self, request_id, prompt, params):
        assert isinstance(request_id, str) and request_id not in self.names
        assert self.request is None, "max_num_seqs is 1"
        self.names.add(request_id)
        ids = list(prompt["prompt_token_ids"])
        assert len(ids) + params.max_tokens <= self.longest, "it does not fit max_model_len"
        self.request = (request_id, ids, params, [])
        return f"{request_id}-0123abcd"  # another name inside

    def has_unfinished_requests(self):
        return self.request is not None

    def abort_request(self, request_ids):
        if self.request and self.request[0] in request_ids:
            self.request = None

    def _prompt_scores(self, ids, params):
        if params.prompt_logprobs is None:
            return None
        assert params.prompt_logprobs == -1 and params.flat_logprobs and self.raw
        flat = Flat()
        for i in range(1, len(ids)):
            flat.append(ids[i], scores_after(ids[:i], self.vocabulary))
        return flat

    def _choose(self, ids, params):
        scores = scores_after(ids, self.vocabulary)
        if params.temperature == 0:
            return int(scores.argmax())
        noise = np.random.default_rng([params.seed, len(ids)]).gumbel(size=len(scores))
        return int((scores / params.temperature + noise).argmax())

    def step(self):
        """The first is the prompt's; every other one is empty, as when steps overlap."""
        name, ids, params, made = self.request
        if not made and not hasattr(self, "begun"):
            self.begun = True
            return []
        made.append(self._choose(ids + made, params))
        if len(made) == params.max_tokens:
            self.request = None
            del self.begun
        if params.output_kind == RequestOutputKind.FINAL_ONLY:
            return [] if self.request else [Output(made, self._prompt_scores(ids, params))]
        return [Output(made[-1:], None)]


class LLM:
    def __init__(
        self,
        model,
        *,
        skip_tokenizer_init,
        dtype,
        max_model_len,
        max_num_seqs,
        enable_prefix_caching,
        enforce_eager,
        kv_cache_memory_bytes,
        tensor_parallel_size,
        distributed_executor_backend,
        max_logprobs,
        logprobs_mode,
    ):
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        assert config["architectures"] == ["LlamaForCausalLM"]
        assert skip_tokenizer_init and max_num_seqs == 1 and not enable_prefix_caching
        assert dtype in ("float32", "float16", "bfloat16")
        assert isinstance(enforce_eager, bool) and max_logprobs == -1
        assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
        assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
        parts = tensor_parallel_size
        assert distributed_executor_backend == ("mp" if parts > 1 else None)
        assert len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")) == parts
        size = 4 if dtype == "float32" else 2
        assert config["num_attention_heads"] % parts == 0
        heads, layers = config["num_key_value_heads"] // parts, config["num_hidden_layers"]
        position = 2 * layers * heads * config["head_dim"] * size
        assert kv_cache_memory_bytes % (256 * position) == 0
        assert kv_cache_memory_bytes >= position * (max_model_len + 256)
        if "no-memory" in os.environ.get("FAKE_VLLM", ""):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        raw = logprobs_mode == "raw_logits"
        self.llm_engine = Engine(config["vocab_size"], max_model_len, raw)
