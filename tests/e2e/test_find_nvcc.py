"""scripts/find-nvcc on machines that the tests made up."""

import os
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(os.environ["PRONY_SOURCE"]) / "scripts/find-nvcc"


class FindNvcc(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.cache = self.folder / "cache"

    def nvcc(self, version, path="bin/nvcc"):
        """A compiler that can tell its version and nothing else."""
        program = self.folder / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {version}, V1'\n")
        program.chmod(0o755)
        return str(program)

    def find(self, status=0, **environment):
        """Without a network, and with nothing but what the test made in PATH."""
        run = subprocess.run(
            [SCRIPT],
            env={
                "PATH": f"{self.folder}/bin:/usr/bin:/bin",
                "PRONY_CACHE": str(self.cache),
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.folder),
            }
            | environment,
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, status, run.stderr)
        return run.stderr if status else run.stdout.strip()

    def test_the_one_that_is_named(self):
        named = self.nvcc("12.4", "elsewhere/nvcc")
        self.nvcc("13.0")
        self.assertEqual(self.find(CUDACXX=named), named)
        old = self.nvcc("11.8", "old/nvcc")
        self.assertIn("$CUDACXX", self.find(1, CUDACXX=old))
        self.assertIn("$CUDACXX", self.find(1, CUDACXX="/nowhere/nvcc"))

    def test_the_one_in_path(self):
        found = self.nvcc("13.0")
        self.assertEqual(self.find(), found)
        self.assertFalse(self.cache.exists())

    def test_without_a_network(self):
        self.nvcc("11.8")
        message = self.find(1)
        self.assertIn("105 MB to download", message)
        self.assertIn("No CUDA compiler: pip could not install", message)
        left = [path.name for path in (self.cache / "nvcc").iterdir()]
        self.assertEqual(left, [".lock"])

    def test_a_cache_that_cannot_be(self):
        self.cache.write_text("a file")
        self.assertIn("Set PRONY_CACHE to a folder that may be written", self.find(1))
        self.assertIn("Set PRONY_CACHE", self.find(1, PRONY_CACHE=""))


if __name__ == "__main__":
    unittest.main()
