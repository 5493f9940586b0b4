"""The TensorRT engine without a GPU: its worker on a driver and a TensorRT that compute on the CPU, its
network held against the native engine's, and its files and faults."""

import array
import hashlib
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from command import prony
from worker_host import Host

BUILD = Path(os.environ["PRONY_BUILD"])
SOURCE = Path(os.environ["PRONY_SOURCE"])
ENGINES = BUILD / "engines"
MANIFEST = json.loads((ENGINES / "tensorrt/engine.json").read_text())
OPTIONS = {variant["name"]: variant["options"] for variant in MANIFEST["variants"]}
FUSED = {"FAKE_TENSORRT": "version=101503"}
CONTEXT = 640  # more than a prompt's part of 512


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = Path(cls.folder.name)
        cls.model = cls.root / "tiny.gguf"
        made = prony(
            "model", "make", "--size", "tiny", "--precision", "float16", "--output", cls.model
        )
        assert made.returncode == 0, made.stderr

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name)
        self.environment = {
            "LD_LIBRARY_PATH": str(BUILD / "tests/fake"),
            "PRONY_CACHE": str(self.cache),
            "PRONY_ENGINE_CACHE": str(self.cache / "plans"),
        }

    def start(self, engine="tensorrt", **environment):
        command = [ENGINES / engine / "worker"]
        if engine == "tensorrt":
            command.append(BUILD / "tests/fake/tensorrt.so")
        host = Host(list(map(str, command)), self.root, {**self.environment, **environment})
        self.addCleanup(host.close)
        host.ask("hello")
        return host

    def load(self, host, variant, model=None, device="cuda", options=None, **more):
        return host.ask(
            "load",
            variant=variant,
            device=device,
            model=str(model or self.model),
            context=CONTEXT,
            options={**OPTIONS.get(variant, {}), **(options or {})},
            **more,
        )

    def logits(self, host, ids):
        path = self.cache / "logits"
        reply = host.ask("logits", ids=ids, path=str(path))
        self.assertNotIn("error", reply)
        values = array.array("f")
        values.frombytes(Path(reply.get("path", path)).read_bytes())
        return values

    def reference(self, model, ids):
        host = self.start("native")
        reply = self.load(host, "native-f32", model, device="cpu")
        self.assertNotIn("error", reply)
        return reply["vocabulary"], self.logits(host, ids)


def distance(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


class Network(Case):
    """What is computed, whatever the layers: the native engine's plain C is the reference."""

    IDS = [(37 * i + 11) % 500 for i in range(150)]

    def check(self, variant, bound, model=None, options=None, **environment):
        vocabulary, expected = self.reference(model or self.model, self.IDS)
        host = self.start(**environment)
        reply = self.load(host, variant, model, options=options)
        self.assertNotIn("error", reply)
        self.assertEqual(reply["vocabulary"], vocabulary)
        self.assertLess(distance(self.logits(host, self.IDS), expected), bound)
        return host, reply

    def test_float32(self):
        _, reply = self.check("tensorrt-base", 2e-4)
        self.assertEqual(reply["precision"], "float32")
        self.assertIn("plain layers", reply["detail"])

    def test_float16(self):
        _, reply = self.check("tensorrt-opt", 1e-2)
        self.assertEqual(reply["precision"], "float16")
        self.assertIn("plain layers", reply["detail"])

    def test_bfloat16(self):
        _, reply = self.check("tensorrt-opt-bf16", 2e-1)
        self.assertEqual(reply["precision"], "bfloat16")

    def test_fused_layers(self):
        for options, bound in (({"precision": "float32"}, 2e-4), ({}, 1e-2)):
            _, reply = self.check("tensorrt-opt", bound, options=options, **FUSED)
            self.assertIn("fused layers", reply["detail"])

    def test_safetensors(self):
        folder = self.root / "safetensors"
        self.assertEqual(prony("model", "convert", self.model, "--output", folder).returncode, 0)
        self.check("tensorrt-base", 2e-4, folder)
        self.check("tensorrt-opt", 1e-2, folder)

    def test_generates_what_the_logits_say(self):
        """Steps after a prompt in two parts: the cache is what computing all at once gives."""
        prompt = [(53 * i + 7) % 500 for i in range(530)]
        for options in ({}, {"graph": True}, {"fused": True, "graph": True}):
            host = self.start(**FUSED)
            self.load(host, "tensorrt-base", options=options)
            ids = host.ask("generate", prompt=prompt, tokens=24, temperature=0)["ids"]
            vocabulary, rows = self.reference(self.model, prompt + ids)
            for i, token in enumerate(ids):
                row = rows[(529 + i) * vocabulary : (530 + i) * vocabulary]
                self.assertLess(max(row) - row[token], 1e-3, (options, i))


class Plans(Case):
    """The cache: what is kept, for whom, and what becomes of what is damaged."""

    def phases(self, variant="tensorrt-opt", **more):
        host = self.start(**more)
        reply = self.load(host, variant)
        return [phase["name"] for phase in reply["phases"]] if "phases" in reply else reply["error"]

    def files(self, kind):
        return sorted((self.cache / "plans").glob(f"*.{kind}"))

    def test_built_once_for_each(self):
        self.assertEqual(self.phases(), ["card", "read", "build", "to_device"])
        self.assertEqual(self.phases(), ["card", "read", "plan", "to_device"])
        self.assertEqual(len(self.files("plan")), 1)
        self.assertEqual(len(self.files("timing")), 1)
        self.assertIn("build", self.phases("tensorrt-base"))
        self.assertIn("build", self.phases(FAKE_TENSORRT="version=100700"))
        self.assertEqual(len(self.files("plan")), 3)

    def test_a_worker_of_other_sources_builds_its_own(self):
        self.phases()
        sources = ("network.c", "weights.c", "plan.c", "shim.cpp", "shim_layers.cpp")
        hashes = [
            hashlib.sha256((SOURCE / "engines/tensorrt" / name).read_bytes()).hexdigest()
            for name in sources
        ]
        of_all = hashlib.sha256("".join(hashes).encode()).hexdigest()
        (plan,) = self.files("plan")
        self.assertIn(f"sources {of_all[:16]}".encode(), plan.read_bytes()[:4096])

    def test_another_model_is_another_plan(self):
        self.phases()
        other = self.root / "other.gguf"
        made = prony("model", "make", "--size", "tiny", "--seed", "9", "--output", other)
        self.assertEqual(made.returncode, 0, made.stderr)
        host = self.start()
        self.assertIn("built", self.load(host, "tensorrt-opt", other)["detail"])

    def test_damaged_files(self):
        self.phases()
        (plan,) = self.files("plan")
        whole = plan.read_bytes()
        for damage in (whole[:-1], whole[:100], b"", whole[:-9] + b"123456789", b"x" + whole[1:]):
            plan.write_bytes(damage)
            error = self.phases()
            self.assertIn("TensorRT's cache is damaged", error["message"])
            self.assertEqual(error["hint"], f"Remove it, and it is made anew: rm {plan}")
        plan.unlink()
        (timing,) = self.files("timing")
        timing.write_bytes(timing.read_bytes()[:-2])
        self.assertIn(f"rm {timing}", self.phases()["hint"])
        timing.unlink()
        self.assertIn("build", self.phases())

    def test_plan_of_another_card(self):
        self.phases("tensorrt-base")
        (old,) = self.files("plan")
        self.phases("tensorrt-base", FAKE_CUDA="major=8")
        (new,) = set(self.files("plan")) - {old}
        old.replace(new)
        error = self.phases("tensorrt-base", FAKE_CUDA="major=8")
        self.assertIn(
            "was made for something else: TensorRT 100600 on Fake GPU (9.", error["message"]
        )
        self.assertIn(f"rm {new}", error["hint"])

    def test_folder_that_cannot_be_written(self):
        (self.cache / "plans").write_text("a file")
        self.assertIn("plans", self.phases()["message"])


class Faults(Case):
    def failure(self, variant="tensorrt-opt", **environment):
        host = self.start(**environment)
        reply = self.load(host, variant)
        self.assertIn("error", reply)
        self.assertEqual(list(self.cache.glob("plans/*.plan*")), [])
        return reply["error"]

    def test_no_driver(self):
        error = self.failure(LD_LIBRARY_PATH="")
        self.assertEqual(error["code"], "unsupported")
        self.assertIn("no NVIDIA driver is installed", error["message"])

    def test_no_card(self):
        self.assertIn("there is no cuda:0", self.failure(FAKE_CUDA="count=0")["message"])

    def test_memory_of_the_card(self):
        error = self.failure(FAKE_TENSORRT="build=memory")
        self.assertEqual(error["code"], "no_memory")
        self.assertIn("memory is not enough to build the network for Fake GPU", error["message"])
        self.assertIn("Requested size was 68719476736", error["message"])
        host = self.start(FAKE_CUDA="cuMemAlloc_v2=2")
        self.assertIn("out of GPU memory", self.load(host, "tensorrt-base")["error"]["message"])

    def test_no_builder_resource(self):
        error = self.failure(FAKE_TENSORRT="build=resource")
        self.assertEqual(error["code"], "unsupported")
        self.assertIn("no builder resource for this kind of card", error["message"])
        self.assertIn("libnvinfer_builder_resource_sm90", error["message"])
        self.assertIn("--own PATH", error["hint"])

    def test_whatever_else_it_says(self):
        error = self.failure(FAKE_TENSORRT="build=odd")
        self.assertIn("cannot build the network for Fake GPU", error["message"])
        self.assertIn("Could not find any implementation for node x", error["message"])

    def test_plan_that_the_library_refuses(self):
        host = self.start(FAKE_TENSORRT="open=other")
        error = self.load(host, "tensorrt-opt")["error"]
        self.assertIn("a plan of another version of TensorRT is no use", error["message"])

    def test_timing_cache_that_the_library_refuses(self):
        self.load(self.start(), "tensorrt-opt")
        for plan in self.cache.glob("plans/*.plan"):
            plan.unlink()
        error = self.failure(FAKE_TENSORRT="timing=no")
        self.assertIn("TensorRT does not take the timing cache", error["message"])
        self.assertRegex(error["hint"], r"rm .*\.timing")

    def test_step_that_fails(self):
        host = self.start(FAKE_TENSORRT="enqueue=odd")
        self.load(host, "tensorrt-opt")
        error = host.ask("generate", prompt=[1], tokens=2, temperature=0)["error"]
        self.assertIn("cannot compute on Fake GPU (Error Code 1: Cask", error["message"])

    def test_what_it_does_not_do(self):
        host = self.start()
        for more, words in (
            ({"quantize": "int8"}, "can neither quantise nor shard"),
            ({"shard": 2}, "can neither quantise nor shard"),
            ({"precision": "float8"}, 'does not compute in "float8"'),
            ({"options": {"level": "much"}}, "options are incomplete"),
        ):
            self.assertIn(words, self.load(host, "tensorrt-opt", **more)["error"]["message"])
        self.load(host, "tensorrt-opt")
        error = host.ask("generate", prompt=[1], tokens=1, temperature=0.5)["error"]
        self.assertIn("does not sample", error["message"])

    def test_shim_that_is_not_there(self):
        result = subprocess.run(
            [ENGINES / "tensorrt/worker", self.root / "none.so"],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(result.returncode, 1)
        self.assertIn("Run: prony engines install tensorrt", result.stderr)


if __name__ == "__main__":
    unittest.main()
