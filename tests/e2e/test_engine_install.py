"""prony engines install: environments of their own, from packages that are made here."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import unittest
import zipfile
from pathlib import Path

PRONY = os.environ["PRONY"]

WORKER = """
import os

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


def wheel_make(folder, name, version, source):
    """A wheel with one module; its path and SHA-256."""
    path = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    files = {
        f"{name}.py": source,
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        ),
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = ""
    for member, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{member},sha256={digest.decode().rstrip('=')},{len(text)}\n"
    files[f"{name}-{version}.dist-info/RECORD"] = record + f"{name}-{version}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def engine_write(root, versions):
    """The engine "demo", which stands on the package demo_numbers. versions: {name: sha256}"""
    home = Path(root) / "demo"
    home.mkdir(parents=True)
    for version, digest in versions.items():
        (home / f"requirements-{version}.txt").write_text(
            f"# pinned\ndemo_numbers=={version} \\\n    --hash=sha256:{digest}\n"
        )
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
                }
                for version in versions
            ],
        },
        "variants": [
            {
                "name": "demo",
                "title": "Demo",
                "precision": "float32",
                "about": "For a test.",
                "supports": {"formats": ["gguf"], "devices": ["cpu"]},
            }
        ],
    }
    (home / "worker.py").write_text(WORKER)
    (home / "engine.json").write_text(json.dumps(manifest))


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.wheels = self.root / "wheels"
        self.wheels.mkdir()
        self.cache = self.root / "cache"
        _, digest = wheel_make(self.wheels, "demo_numbers", "2.0", 'VERSION = "2.0"\nNUMBER = 7\n')
        engine_write(self.root / "engines", {"2.0": digest})
        self.environment = {
            **os.environ,
            "PRONY_CACHE": str(self.cache),
            "PRONY_ENGINE_PATH": str(self.root / "engines"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }

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

    def test_an_engine_is_installed_and_runs(self):
        before = self.prony("engines", "check", "demo", status=1)
        self.assertIn("demo is not installed. Run: prony engines install demo", before.stdout)
        self.prony("engines", "install", "demo")
        checked = self.prony("engines", "check", "demo")
        self.assertIn("checks passed", checked.stdout)
        self.assertTrue((self.cache / "compiled/demo@2.0").is_dir())

    def test_versions_that_nobody_has(self):
        result = self.prony("engines", "install", "demo@3.0", status=1)
        self.assertIn("no requirements for demo 3.0", result.stderr)
        self.assertIn("It has them for: 2.0.", result.stderr)
        result = self.prony("engines", "install", "dem", status=1)
        self.assertIn("Did you mean 'demo'?", result.stderr)


if __name__ == "__main__":
    unittest.main()
