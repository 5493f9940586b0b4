"""What can go wrong with PyTorch and tinygrad as they are installed: the row says what happened, the
other engines finish, and no process is left."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from package_index import Index, processes_of, wheel_make

PRONY = os.environ["PRONY"]
ENGINES = Path(PRONY).parent / "engines"
VARIANTS = {"pytorch": "pytorch-base", "tinygrad": "tinygrad"}
LONG = 4_000_000

# Stands before a worker: takes away what it needs, or prints, and becomes it.
FAULTY = """
import os, resource, runpy, sys, threading

def print_on_and_on():
    for line in range(20000):
        print('{"id": 1, "error": "of line"}', line)
        os.write(1, b"\\xff\\x00 0 %\\r" * 8)

sys.path[0] = os.getcwd()
worker = runpy.run_path("worker.py")
if sys.argv[1] == "prints":
    print_on_and_on()
    threading.Thread(target=print_on_and_on, daemon=True).start()
if sys.argv[1] == "memory":
    with open("/proc/self/statm") as sizes:
        now = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (512 << 20), now + (512 << 20)))
worker["serve"](next(c for c in worker["Engine"].__subclasses__())())
"""


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("PRONY_CACHE") or f"{base}/prony")


class EngineFaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory())).resolve()
        cls.model = cls.root / "tiny.gguf"
        for words in (("model", "make", "--output", cls.model), ("engines", "install", *VARIANTS)):
            subprocess.run([PRONY, *words], check=True, capture_output=True)

    def setUp(self):
        self.home = Path(self.enterContext(tempfile.TemporaryDirectory(dir=self.root)))
        self.cache, self.faulty = self.home / "cache", self.home / "engines"
        for folder in (self.cache / "engines", self.faulty):
            folder.mkdir(parents=True)
        self.environment = {
            **os.environ,
            "PRONY_CACHE": str(self.cache),
            "PRONY_STORE": str(self.home / "store.db"),
            "PRONY_ENGINE_PATH": str(self.faulty),
        }

    def installed(self):
        """The engines that were installed, in a cache of links that may be deleted one by one."""
        for name in VARIANTS:
            source = cache_folder() / "engines" / name
            subprocess.run(["cp", "-rs", source, self.cache / "engines"], check=True)

    def spoil(self, name, fault):
        """A copy of the engine's folder, which comes before its own, with a fault in its command."""
        home = shutil.copytree(ENGINES / name, self.faulty / name)
        manifest = json.loads((home / "engine.json").read_text())
        manifest["command"] = ["{python}", "faulty.py", fault]
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "faulty.py").write_text(FAULTY)

    def prony(self, *words, **more):
        result = subprocess.run(
            [PRONY, *map(str, words)],
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self.assertEqual(processes_of(str(self.cache)), [], "a process was left")
        return result

    def bench(self, *variants, model=None, context=256):
        """What it says, as one line, and the latency of each variant, None of one that failed."""
        output = self.home / "run.json"
        words = ["--model-path", model or self.model, "--context", context, "--output", output]
        result = self.prony("bench", "--quick", *words, "--framework", "native-f32", *variants)
        self.assertEqual(result.returncode, 0, result.stdout)
        rows = json.loads(output.read_text())["results"]
        return " ".join(result.stdout.split()), {r["framework"]: r["avg_token_time"] for r in rows}

    def expect_failures(self, reasons, **more):
        """Each variant fails for its reason, and native is measured."""
        text, times = self.bench(*reasons, **more)
        for variant, reason in reasons.items():
            with self.subTest(variant):
                self.assertRegex(text, f"1/1 {variant} FAILED: .*{reason}")
        self.assertGreater(times.pop("native-f32"), 0)
        self.assertEqual(times, dict.fromkeys(reasons), text)

    def test_a_library_is_gone(self):
        gone = {
            "pytorch": ("torch/lib/libtorch_cpu.so", "libtorch_cpu.so: cannot open shared object"),
            "tinygrad": ("tinygrad/tensor.py", "tinygrad/tensor.py is gone"),
        }
        self.installed()
        for name, (path, _) in gone.items():
            libraries = list((self.cache / "engines" / name).glob(f"*/environment/**/{path}"))
            self.assertTrue(libraries)
            for library in libraries:  # of each version that is there
                library.unlink()
        self.expect_failures({VARIANTS[name]: reason for name, (_, reason) in gone.items()})
        for name, (_, reason) in gone.items():
            doctor = self.prony("engines", "doctor", name)
            self.assertEqual(doctor.returncode, 1)
            self.assertIn(reason, " ".join(doctor.stdout.split()))
            self.assertIn(f"Run: prony engines install {name}@", doctor.stdout)

    def test_memory_is_used_up(self):
        """By the KV cache: it has 1 GB in PyTorch, in tinygrad half of that."""
        long = self.home / "long.gguf"
        self.prony("model", "make", "--context", LONG, "--output", long)
        self.installed()
        for name in VARIANTS:
            self.spoil(name, "memory")
        reasons = {"pytorch-base": "t allocate memory: you tried", "tinygrad": "out of memory"}
        self.expect_failures(reasons, model=long, context=LONG)

    def test_prints_what_looks_like_the_protocol(self):
        self.installed()
        for name in VARIANTS:
            self.spoil(name, "prints")
        _, times = self.bench(*VARIANTS.values())
        self.assertTrue(all(times.values()), times)

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount a small file system")
    def test_the_disk_is_full(self):
        """The one with the compilers' caches."""
        self.installed()
        small = self.cache / "compiled"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=True)
        remedy = ".*The disk is full: free some space"
        reasons = {"pytorch-opt": "No space left on device", "tinygrad": "disk is full"}
        self.expect_failures({name: reason + remedy for name, reason in reasons.items()})

    def test_the_network_is_cut_while_it_is_installed(self):
        wheels = self.home / "wheels"
        wheels.mkdir()
        index = Index(wheels)
        self.addCleanup(index.close)
        index.cut = ""  # every file
        for name in VARIANTS:
            for required in (ENGINES / name).glob("requirements-*.txt"):
                for package in re.findall(r"^([\w.-]+)==([\w.]+)", required.read_text(), re.M):
                    wheel_make(wheels, package[0].replace("-", "_"), package[1], "x = 1\n" * 9999)
            result = self.prony("engines", "install", name, **index.environment)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stdout, "the network failed|what arrived was cut")
            doctor = self.prony("engines", "doctor", name)
            self.assertIn("was begun and not finished. Run: prony engines install", doctor.stdout)
        self.assertEqual(list(self.cache.rglob("ready.json")), [])
        text, times = self.bench(*VARIANTS)
        for name in VARIANTS:
            self.assertIn(f"did not run: not installed. Run: prony engines install {name}", text)
        self.assertEqual([name for name, time in times.items() if time], ["native-f32"])


if __name__ == "__main__":
    unittest.main()
