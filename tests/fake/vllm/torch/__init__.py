"""As much of torch as vLLM's worker asks for. FAKE_VLLM says "no-gpu" or nothing of that."""

import os

__version__ = "2.14.0+fake"


class OutOfMemoryError(RuntimeError):
    pass


class cuda:
    @staticmethod
    def is_available():
        return "no-gpu" not in os.environ.get("FAKE_VLLM", "")

    @staticmethod
    def memory_reserved():
        return 100

    @staticmethod
    def max_memory_reserved():
        return 200
