"""SamplingParams with the members that vLLM's worker gives."""

import dataclasses
import enum


class RequestOutputKind(enum.Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclasses.dataclass
class SamplingParams:
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    max_tokens: int = 16
    ignore_eos: bool = False
    prompt_logprobs: int | None = None
    flat_logprobs: bool = False
    detokenize: bool = True
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE

    def __post_init__(self):
        assert not self.detokenize, "there is no tokenizer"
        assert self.temperature >= 0 and 0 < self.top_p <= 1 and 0 <= self.min_p <= 1
        assert self.seed is None or -(1 << 63) <= self.seed < 1 << 63
        assert self.output_kind != RequestOutputKind.CUMULATIVE
