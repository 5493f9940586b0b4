"""The llamacpp engine: its worker's code on a toy library in the place of llama.cpp's, and on the real
one where `prony engines install llamacpp` has built it."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from gguf_parts import cut
from worker_host import Host

PRONY = os.environ["PRONY"]
TOY = Path(os.environ["PRONY_SOURCE"]) / "tests/fake/llama"
LOADER = Path(os.environ["PRONY_BUILD"]) / "engines/sdk/load-engine"
F32, F16, Q8_0, BF16 = "0", "1", "8", "30"


def toy_make(prefix, old=False):
    """An installation of the toy library, as an older version has it or as a newer."""
    include, library = prefix / "include", prefix / "lib"
    shutil.copytree(TOY / "include", include)
    library.mkdir()
    if old:
        header = include / "llama.h"
        text = re.sub(
            r" */\* newer \{ \*/.*?/\* newer \} \*/\n", "", header.read_text(), flags=re.S
        )
        header.write_text(text)
    for name, source in (("ggml-base", "ggml.c"), ("llama", "llama.c")):
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-g", "-Wall", "-Wextra", "-Werror", *(["-DOLD"] * old)]
            + ["-I", include, TOY / source, "-o", library / f"lib{name}.so"],
            check=True,
        )
    shutil.copy(library / "libggml-base.so", library / "libggml.so")


class Toy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.own = self.root / "own"
        self.environment = {
            **os.environ,
            "PRONY_CACHE": str(self.root / "cache"),
            "PRONY_STORE": str(self.root / "store.db"),
            "PRONY_ENGINE_PATH": "",
            "CFLAGS": "-Wall -Wextra -Werror",
        }
        # A worker with sanitizers wants its engine to have them as well.
        if b"__asan_init" in LOADER.read_bytes():
            self.environment["CFLAGS"] += " -g -fsanitize=address,undefined"

    def prony(self, *words, status=0, **environment):
        result = subprocess.run(
            [PRONY, *map(str, words)],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def install(self, old=False):
        toy_make(self.own, old)
        self.prony("engines", "install", "llamacpp", "--own", self.own)

    def run_engine(self, *words, **more):
        return self.prony("engines", "run", "llamacpp", "--size", "tiny", *words, **more)

    def test_keeps_to_the_protocol(self):
        self.install()
        result = self.prony("engines", "check", "llamacpp", "--no-forms")
        self.assertIn("ok    llamacpp-fa: ends a stream that is cancelled", result.stdout)
        report = self.prony("engines", "doctor", "llamacpp@user").stdout
        self.assertIn("works: llamacpp toy-1", report)
        self.assertIn(f"stands on {self.own}", report)

    def test_older_library(self):
        self.install(old=True)
        self.prony("engines", "check", "llamacpp", "--no-forms")
        self.assertIn("llamacpp unknown", self.prony("engines", "doctor", "llamacpp@user").stdout)

    def test_what_a_model_is(self):
        self.install()
        for kind, precision in ((F32, "mixed"), (F16, "float16"), (BF16, "bfloat16")):
            told = self.run_engine(FAKE_LLAMA_TYPE=kind).stdout
            self.assertRegex(told, rf"{precision}.*KV cache float16")
        told = self.run_engine(status=1, FAKE_LLAMA_TYPE=Q8_0).stderr
        self.assertIn("token_embd.weight is quantised (q8_0)", told)
        self.assertIn("prony model convert --precision float16", told)

    def test_what_a_model_in_parts_is(self):
        self.install()
        tiny = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", tiny)
        first, second = cut(tiny, self.root / "parts", 2)
        for kind, precision in ((F32, "mixed"), (BF16, "bfloat16")):
            fake = {"FAKE_LLAMA_TYPE": kind, "FAKE_LLAMA_PARTS": "2"}
            for path in (first.parent, first, second):
                told = self.prony("engines", "run", "llamacpp", "--model", path, **fake).stdout
                self.assertRegex(told, rf"{precision}.*KV cache float16")

    def test_one_q8_0_is_made_of_all_parts(self):
        self.install()
        tiny = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", tiny)
        first, second = cut(tiny, self.root / "parts", 2)
        words = ("engines", "run", "llamacpp", "--quantize", "q8_0", "--model")
        for path, made in ((second, True), (first, False), (first.parent, False)):
            told = self.prony(*words, path, FAKE_LLAMA_PARTS="2").stdout
            self.assertRegex(told, r"load .* q8_0, ")
            self.assertEqual("  quantise " in told, made)
        self.assertEqual(len(self.kept()), 1)
        second.unlink()
        told = self.prony(*words, first, status=1, FAKE_LLAMA_PARTS="2").stderr
        self.assertIn("part 2 of the model's 2 is missing", told)

    def kept(self):
        return [path.name for path in (self.root / "cache/compiled/llamacpp@user").iterdir()]

    def test_q8_0_is_made_once_and_kept(self):
        self.install()
        told = self.run_engine("--quantize", "int8").stdout
        self.assertRegex(told, r"  quantise +\d")
        self.assertRegex(told, r"load .* q8_0, ")
        (name,) = self.kept()
        self.assertRegex(name, r"^q8_0-[0-9a-f]{64}\.gguf$")
        told = self.run_engine("--quantize", "q8_0").stdout
        self.assertNotRegex(told, r"  quantise +\d")
        self.assertEqual(self.kept(), [name])
        self.prony("engines", "uninstall", "llamacpp@user")
        self.assertFalse((self.root / "cache/compiled/llamacpp@user").exists())

    def test_two_processes_make_one_q8_0(self):
        self.install()
        self.run_engine()  # makes the model
        words = [PRONY, "engines", "run", "llamacpp", "--size", "tiny", "--quantize", "q8_0"]
        runs = [
            subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        told = [run.communicate(timeout=300)[0] for run in runs]
        self.assertEqual([run.returncode for run in runs], [0] * 4, told)
        self.assertEqual(len(self.kept()), 1)

    def test_q8_0_that_fails_leaves_nothing(self):
        self.install()
        told = self.run_engine("--quantize", "int8", status=1, FAKE_LLAMA="quantize").stderr
        self.assertIn("failed to quantize: basic_ios::clear: No space left on device", told)
        self.assertEqual(self.kept(), [])
        told = self.run_engine("--quantize", "nf4", status=1).stderr
        self.assertIn("it cannot quantise to nf4 on cpu; these can: native-f16", told)

    def load(self, environment=None, **asked):
        """What the worker answers to a load, by itself, on a machine of two cards."""
        (built,) = (self.root / "cache/engines/llamacpp/user").glob("built-*/engine.so")
        worker = Host(
            [str(LOADER), str(built)],
            self.root,
            {**self.environment, "FAKE_LLAMA_CARDS": "2", **(environment or {})},
        )
        self.addCleanup(worker.close)
        worker.ask("hello", protocol=1)
        request = {
            "model": str(self.model), "variant": "llamacpp", "device": "cuda", "precision": "",
            "quantize": "", "shard": 2, "threads": 1, "context": 64, "options": {},
        }  # fmt: skip
        return worker.ask("load", **{**request, **asked})

    def test_splits_over_cards(self):
        self.install()
        self.model = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", self.model)
        self.assertIn("split by tensor over 2 cards", self.load()["detail"])
        kept = str(self.root / "q8_0.gguf")
        self.assertEqual(self.load(quantize="q8_0", keep_at=kept)["precision"], "q8_0")
        for asked, told in (
            ({"shard": 3}, "this build of llama.cpp has no device cuda:2"),
            ({"shard": 17}, "over 16 GPUs at most"),
            ({"device": "cpu"}, "llama.cpp splits a model over GPUs alone"),
            ({"variant": "llamacpp-fa"}, "does not choose tokens"),
        ):
            self.assertIn(told, self.load(**asked)["error"]["message"])
        told = self.run_engine("--shard", "2", status=1).stderr
        self.assertIn("llamacpp: it cannot be split over 2 devices on cpu; these can:", told)

    def test_float32_sums_on_a_card(self):
        self.install()
        self.model = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", self.model)
        sums = "GGML_CUDA_CUBLAS_COMPUTE_TYPE"
        fast = {"variant": "llamacpp-fa", "shard": 1}
        self.assertIn(f", {sums}=f32", self.load(**fast)["detail"])
        self.assertNotIn(sums, self.load(shard=1)["detail"])
        self.assertNotIn(sums, self.load(**fast, device="cpu")["detail"])
        self.assertIn(f", {sums}=f16", self.load({sums: "f16"}, **fast)["detail"])

    def test_an_older_library_splits_nothing(self):
        self.install(old=True)
        self.model = self.root / "tiny.gguf"
        self.prony("model", "make", "--size", "tiny", "--output", self.model)
        error = self.load()["error"]
        self.assertIn("this llama.cpp cannot split a model by its tensors", error["message"])

    def test_faults(self):
        self.install()
        told = self.run_engine(status=1, FAKE_LLAMA="model").stderr
        self.assertIn("tensor 'x' is not within the file bounds", told)
        told = self.run_engine(status=1, FAKE_LLAMA="context").stderr
        self.assertIn("failed to allocate buffer for kv cache. Ask for a smaller --context", told)
        told = self.run_engine("--benchmark", status=1, FAKE_LLAMA="decode").stderr
        self.assertIn("llama_decode failed with status -1: toy: it does not want to", told)

        told = self.prony(
            *("engines", "run", "llamacpp-fa", "--size", "tiny"), status=1, FAKE_LLAMA="device"
        ).stderr
        self.assertIn("llama.cpp chose no token on the device", told)

        # The user's library becomes another one under the worker that was compiled against it.
        header = self.own / "include/llama.h"
        header.write_text(header.read_text() + "/* newer */\n")
        told = self.run_engine(status=1).stderr
        self.assertIn("llama.h has changed since this engine was installed", told)
        self.prony("engines", "install", "llamacpp", "--own", self.own)
        self.run_engine()

        told = self.prony("engines", "install", "llamacpp", "--own", self.root, status=1).stderr
        self.assertIn(f"error: there is no include/llama.h in {self.root}", told)
        shutil.rmtree(self.own / "lib")
        told = self.prony("engines", "install", "llamacpp", "--own", self.own, status=1).stderr
        self.assertIn(f"error: there is no libllama.so in lib/ or build/bin/ of {self.own}", told)

    def test_build_of_the_user_is_found(self):
        toy_make(self.own)
        packages = self.own / "lib/pkgconfig"
        packages.mkdir()
        (packages / "llama.pc").write_text(
            f"prefix={self.own}\nName: llama\nDescription: x\nVersion: 1\nLibs: -lllama\n"
        )
        told = self.prony("engines", "install", "llamacpp", PKG_CONFIG_PATH=str(packages)).stderr
        self.assertIn(f"Taking the build of yours in {self.own}", told)
        self.assertIn("works: llamacpp toy-1", self.prony("engines", "doctor", "llamacpp").stdout)


if __name__ == "__main__":
    unittest.main()
