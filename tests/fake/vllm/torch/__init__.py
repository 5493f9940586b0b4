"""As much of torch as vLLM's worker asks for. FAKE_VLLM says "no-gpu" or nothing of that."""

import os

__version__ = "2.14.0+fake"


class OutOfMemoryError(RuntimeError):
    pass


class cuda:
    @staticmethod
    def device_count():
        if "no-gpu" in os.environ.get("FAKE_VLLM", ""):
            return 0
        return len(os.environ["CUDA_VISIBLE_DEVICES"].split(","))

    @staticmethod
    def memory_reserved():
        return 100

    @staticmethod
    def max_memory_reserved():
        return 200
