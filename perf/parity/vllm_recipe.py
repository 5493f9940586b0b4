"""vLLM as its documentation runs it offline, outside Prony: LLM.generate on one prompt.

    python vllm_recipe.py FOLDER --precision float16

generate returns when all ids are there, so the time of one is the difference between a long answer and a
short one. Says when it is ready; then, for each line of its standard input, prints JSON: milliseconds for
each token.
"""

import argparse
import json
import os
import sys
import time

os.environ.update(VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1")

from vllm import LLM, SamplingParams, TokensPrompt  # noqa: E402


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument(
        "--memory-share", type=float, default=0.2, help="of the card, for the cache"
    )
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--context", type=int, default=256)
    return parser.parse_args()


def generate(llm, prompt, tokens):
    """Ids, and the seconds until all of them are there."""
    params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    start = time.perf_counter()
    (output,) = llm.generate(TokensPrompt(prompt_token_ids=prompt), params, use_tqdm=False)
    return list(output.outputs[0].token_ids), time.perf_counter() - start


def main():
    o = parse()
    llm = LLM(
        o.model,
        skip_tokenizer_init=True,
        dtype=o.precision,
        max_model_len=o.context,
        max_num_seqs=1,
        enable_prefix_caching=False,  # the second prompt is the first one
        enforce_eager=o.eager,
        gpu_memory_utilization=o.memory_share,  # others are on the card
    )
    vocabulary = llm.llm_engine.model_config.get_vocab_size()
    prompt = [(i * 7919 + 13) % vocabulary for i in range(o.prompt)]
    generate(llm, prompt, 4)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        _, short = generate(llm, prompt, o.warm_up + 1)
        ids, long = generate(llm, prompt, o.warm_up + o.tokens + 1)
        ms = (long - short) / o.tokens * 1e3
        print(json.dumps({"ms": ms, "ids": ids[:16]}), flush=True)


if __name__ == "__main__":
    main()
