"""prony engines install, doctor and uninstall: environments of their own, from packages that are
made here, and what can go wrong with them."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from package_index import Index, processes_of, wheel_make

PRONY = os.environ["PRONY"]

WORKER = """
import os

import demo_base
import demo_numbers
from prony_worker import Engine, Failure, serve


class Demo(Engine):
    name = "demo"
    version = demo_numbers.VERSION

    def load(self, request):
        if not os.path.exists(request.model):
            raise Failure("not_found", f"there is no model at {request.model}")
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        if sampling.temperature > 0:
            raise Failure("unsupported", "this engine does not sample")
        while True:
            yield demo_numbers.NUMBER


if __name__ == "__main__":
    serve(Demo())
"""


BASE = "demo_base"
WHEEL_BYTES = 300000


class Packages:
    """Wheels of demo_numbers and demo_base, and the engine "demo" that stands on them."""

    def __init__(self, root, versions):
        self.digests = {}
        self.wheels = root / "wheels"
        self.wheels.mkdir()
        base = wheel_make(self.wheels, BASE, "1.0", "")
        self.home = root / "engines" / "demo"
        self.home.mkdir(parents=True)
        for version in versions:
            numbers = wheel_make(
                self.wheels,
                "demo_numbers",
                version,
                f'VERSION = "{version}"\nNUMBER = {version[0]}\n# {"x" * WHEEL_BYTES}\n',
            )
            self.digests[version] = {"demo_base==1.0": base, f"demo_numbers=={version}": numbers}
            self.require(version, self.digests[version])
        self.manifest(versions)
        (self.home / "worker.py").write_text(WORKER)

    def require(self, version, hashes):
        text = "# pinned\n"
        for package, digest in hashes.items():
            text += f"{package} \\\n    --hash=sha256:{digest}\n"
        (self.home / f"requirements-{version}.txt").write_text(text)

    def manifest(self, versions, programs=(), **sizes):
        variant = {
            "precision": "float32",
            "about": "For a test.",
            "supports": {"formats": ["gguf"], "devices": ["cpu"]},
        }
        manifest = {
            "name": "demo",
            "title": "Demo",
            "licence": "MIT",
            "about": "For a test.",
            "command": ["{python}", "worker.py"],
            "install": {
                "python": ["3.8", "3.99"],
                "versions": [
                    {
                        "version": version,
                        "requirements": f"requirements-{version}.txt",
                        "download_mb": 1,
                        "disk_mb": 30,
                        **sizes,
                    }
                    for version in versions
                ],
                "programs": list(programs),
            },
            "variants": [
                {"name": "demo", "title": "Demo", **variant},
                {"name": "demo-fast", "title": "Demo-Fast", **variant},
            ],
        }
        (self.home / "engine.json").write_text(json.dumps(manifest))


class InstallTest(unittest.TestCase):
    versions = ("2.0",)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.packages = Packages(self.root, self.versions)
        self.cache = self.root / "cache"
        self.environment = {
            **os.environ,
            "PRONY_CACHE": str(self.cache),
            "PRONY_STORE": str(self.root / "store.db"),
            "PRONY_ENGINE_PATH": str(self.root / "engines"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.packages.wheels),
        }

    def prony(self, *words, status=0, limit=None, **environment):
        result = subprocess.run(
            [PRONY, *map(str, words)],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            preexec_fn=limit,
        )
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        self.assertEqual(processes_of(str(self.root)), [], "a process was left")
        return result

    def model(self):
        path = self.root / "tiny.gguf"
        if not path.exists():
            self.prony("model", "make", "--size", "tiny", "--output", path)
        return path

    def bench(self, *frameworks, status=0):
        return self.prony(
            "bench",
            "--model-path",
            self.model(),
            "--quick",
            "--output",
            self.root / "run.json",
            "--framework",
            *frameworks,
            status=status,
        )

    def expect_not_installed(self):
        self.assertEqual(list(self.cache.rglob("ready.json")), [])
        result = self.prony("engines", "check", "demo", status=1)
        self.assertIn("demo is not installed. Run: prony engines install demo", result.stdout)


class Whole(InstallTest):
    versions = ("2.0", "1.0")

    def test_from_nothing_to_nothing(self):
        self.expect_not_installed()
        # The user's own settings for Python and pip lead elsewhere; they are not followed.
        astray = self.root / "astray"
        astray.mkdir()
        (astray / "demo_numbers.py").write_text('VERSION = "astray"\nNUMBER = 9\n')
        (astray / "ensurepip.py").write_text("raise SystemExit(3)\n")
        settings = {
            "PYTHONPATH": str(astray),
            "PYTHONHOME": str(astray),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPYCACHEPREFIX": str(astray),
            "PIP_USER": "1",
            "PIP_TARGET": str(astray / "target"),
        }
        result = self.prony("engines", "install", "demo", "demo@1.0", **settings)
        self.assertIn("1 MB to download, 30 MB on disk", result.stderr)
        self.assertIn("Downloading 2 of 2, demo_numbers", result.stderr)
        self.assertFalse((astray / "target").exists())
        self.assertEqual(list(self.cache.rglob("downloads")), [])
        again = self.prony("engines", "install", "demo")
        self.assertIn("is there already, and works", again.stderr)

        self.assertIn("checks passed", self.prony("engines", "check", "demo").stdout)
        self.assertTrue((self.cache / "compiled/demo@2.0").is_dir())
        bytecode = next(self.cache.rglob("2.0/environment/**/demo_numbers.*.pyc"))
        bytecode.unlink()
        report = self.prony("engines", "doctor", "demo", **settings).stdout
        self.assertTrue(bytecode.exists())
        self.assertIn("2.0        works: demo 2.0", report)
        self.assertIn("1.0        works: demo 1.0", report)

        # Two versions side by side, each variant a column.
        table = self.bench("demo@1.0", "demo-fast@2.0").stdout
        self.assertIn("Demo@1.0", table)
        rows = json.loads((self.root / "run.json").read_text())["results"]
        versions = {row["framework"]: row["engine_version"] for row in rows}
        self.assertEqual(
            versions, {"demo@1.0": "1.0", "demo-fast@1.0": "1.0", "demo-fast@2.0": "2.0"}
        )
        talk = self.prony(
            "--model",
            self.model(),
            "--framework",
            "demo@1.0",
            "--temperature",
            "0",
            "--prompt",
            "x",
            "--max-tokens",
            "3",
        )
        self.assertNotEqual(talk.stdout, "")

        self.library_is_gone()
        self.program_is_missing()

        self.assertIn("MB freed", self.prony("engines", "uninstall", "demo@2.0").stdout)
        self.assertFalse((self.cache / "compiled/demo@2.0").exists())
        # What is left is what the name means now.
        self.assertIn("checks passed", self.prony("engines", "check", "demo").stdout)
        self.prony("engines", "uninstall", "demo")
        self.expect_not_installed()
        result = self.prony("engines", "uninstall", "demo", status=1)
        self.assertIn("demo is not installed", result.stderr)

    def library_is_gone(self):
        next(self.cache.rglob("2.0/environment/**/demo_numbers.py")).unlink()
        table = " ".join(self.bench("demo", "demo@1.0").stdout.split())
        self.assertIn("No module named 'demo_numbers'", table)
        self.assertRegex(table, r"Demo(-Fast)?@1\.0 generates")
        report = self.prony("engines", "doctor", "demo@2.0", status=1).stdout
        self.assertIn("does not work: demo@2.0: the worker ended", report)
        self.assertIn("No module named 'demo_numbers'", report)
        self.assertIn("Run: prony engines install demo@2.0", report)
        result = self.prony("engines", "install", "demo@2.0")
        self.assertIn("does not work, and is made anew", result.stderr)
        self.assertIn("works: demo 2.0", self.prony("engines", "doctor", "demo@2.0").stdout)

        # Its interpreter gone: it is not even started.
        next(self.cache.rglob("2.0/environment/bin/python3")).unlink()
        table = " ".join(self.bench("demo", "demo@1.0").stdout.split())
        self.assertIn("python3 is gone. Run: prony engines install demo", table)

    def program_is_missing(self):
        """One variant needs a program of the system, the other one does not."""
        program = {"program": "no-such-compiler", "package": "compilers", "reason": "compiles"}
        self.packages.manifest(self.versions, [{**program, "variants": ["demo-fast"]}])
        result = self.prony("engines", "install", "demo@1.0")
        told = "no-such-compiler is missing: compiles. Run: apt-get install compilers"
        self.assertIn(told, result.stderr)
        self.assertIn(told, self.prony("engines", "doctor", "demo", status=1).stdout)
        table = " ".join(self.bench("demo@1.0").stdout.split())
        self.assertIn("Run: apt-get install compilers", table)
        self.assertIn("Demo@1.0 generates", table)


class Faults(InstallTest):
    def install_badly(self, *expected, **more):
        result = self.prony("engines", "install", "demo", status=1, **more)
        self.assertRegex(result.stderr, ".*".join(expected))
        self.expect_not_installed()

    def test_what_goes_wrong_on_the_way(self):
        digests = self.packages.digests
        self.packages.manifest(["2.0"], disk_mb=999999)
        self.install_badly("needs 1000.00 GB of disk while it is installed", "set PRONY_CACHE")
        self.packages.manifest(["2.0"])

        self.packages.require("2.0", {"demo_base>=1.0": "0" * 64})
        self.install_badly("is not a package with an exact version", "requirements-2.0.txt, line 2")
        self.packages.require("2.0", {"demo_base==7.0": "0" * 64})
        self.install_badly("cannot download demo_base: pip's indexes do not have it")
        self.packages.require("2.0", {"demo_base==1.0": "0" * 64})
        self.install_badly("is not the file that Prony expects")

        # No file may have more than half of the larger package.
        self.packages.require("2.0", digests["2.0"])
        limit = (WHEEL_BYTES // 2, WHEEL_BYTES // 2)
        self.install_badly(
            "cannot download demo_numbers: files may not become that large here",
            limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )

        # The network is cut in the middle of a file, then it is not there at all.
        index = Index(self.packages.wheels)
        index.cut = "demo_numbers"
        self.install_badly(
            "demo_numbers: (the network failed|what arrived was cut)", **index.environment
        )
        index.close()
        self.install_badly("demo_numbers: the network failed", **index.environment)
        report = self.prony("engines", "doctor", status=1).stdout
        self.assertIn("was begun and not finished. Run: prony engines install demo@2.0", report)

        # The user stops it while a file is on its way.
        index = Index(self.packages.wheels)
        index.hang = "demo_numbers"
        process = subprocess.Popen(
            [PRONY, "engines", "install", "demo"],
            env={**self.environment, **index.environment},
            stderr=subprocess.DEVNULL,
        )
        self.assertTrue(index.hanging.wait(120))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        self.assertEqual(processes_of(str(self.root)), [])
        self.expect_not_installed()

        # It goes on with what is missing, once, when two ask for it.
        index.hang = None
        index.served.clear()
        both = [
            subprocess.Popen(
                [PRONY, "engines", "install", "demo"],
                env={**self.environment, **index.environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        told = [process.communicate(timeout=300)[1] for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], told)
        self.assertEqual(sum("is there already, and works" in text for text in told), 1)
        self.assertEqual(index.served, ["demo_numbers"])
        index.close()
        self.assertIn("checks passed", self.prony("engines", "check", "demo").stdout)

    def test_names_that_nobody_has(self):
        result = self.prony("engines", "install", "demo@3.0", status=1)
        self.assertIn("there are no requirements for demo 3.0", result.stderr)
        self.assertIn("Versions that can be installed: 2.0.", result.stderr)
        result = self.prony("engines", "install", "dem", status=1)
        self.assertIn("Did you mean 'demo'?", result.stderr)
        result = self.prony("engines", "install", "null", status=1)
        self.assertIn("null needs no installation", result.stderr)
        result = self.prony("engines", "install", "demo", "--python", "/no/python", status=1)
        self.assertIn("there is no interpreter '/no/python'", result.stderr)
        result = self.prony("engines", "install", "demo@9", "--python", sys.executable, status=1)
        self.assertIn("'9' cannot name what is yours", result.stderr)

    def test_interpreter_of_the_user(self):
        own = self.root / "own"
        own.mkdir()
        (own / "demo_base.py").write_text("")
        (own / "demo_numbers.py").write_text('VERSION = "mine"\nNUMBER = 3\n')
        before = sorted(own.iterdir())
        install = ("engines", "install", "demo@nightly", "--python", sys.executable)
        self.assertIn("No module named 'demo_base'", self.prony(*install, status=1).stderr)
        self.expect_not_installed()

        settings = {"PYTHONPATH": str(own)}
        self.prony(*install, **settings)
        for name in ("demo@nightly", "demo"):
            checked = self.prony("engines", "check", name, **settings)
            self.assertIn("checks passed", checked.stdout)
        report = self.prony("engines", "doctor", "demo", **settings).stdout
        self.assertIn("nightly    works: demo mine", report)
        bytecode = next(self.cache.glob("compiled/*/bytecode/**/demo_numbers.*.pyc"))
        bytecode.unlink()
        self.prony("engines", "doctor", "demo", PYTHONDONTWRITEBYTECODE="1", **settings)
        self.assertTrue(bytecode.exists())
        self.assertIn("2.0        not installed. Run: prony engines install demo@2.0", report)
        self.prony("engines", "uninstall", "demo")
        self.assertEqual(sorted(own.iterdir()), before)


if __name__ == "__main__":
    unittest.main()
