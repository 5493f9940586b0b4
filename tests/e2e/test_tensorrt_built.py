"""prony engines install tensorrt: what lies between the worker and TensorRT is compiled against real
headers, and a library in TensorRT's place. Where the headers cannot be fetched it is skipped."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from command import prony

SOURCE = Path(os.environ["PRONY_SOURCE"])
HEADERS = ""


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.own = self.root / "TensorRT"
        (self.own / "lib").mkdir(parents=True)
        (self.own / "include").symlink_to(HEADERS)
        self.library = self.own / "lib/libnvinfer.so.11"
        source = SOURCE / "tests/fake/nvinfer.c"
        subprocess.run(["cc", "-shared", "-fPIC", source, "-o", self.library], check=True)
        self.environment = {
            "PRONY_CACHE": str(self.root / "cache"),
            "CXXFLAGS": "-Wall -Wextra -Werror",
            "TENSORRT_ROOT": "",
        }

    def prony(self, *words, status=0, **environment):
        result = prony(*words, **{**self.environment, **environment})
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def test_the_users_is_found_and_taken(self):
        told = self.prony("engines", "install", "tensorrt", TENSORRT_ROOT=str(self.own))
        self.assertIn(f"Taking the build of yours in {self.own}", told)
        told = self.prony("engines", "doctor", "tensorrt")
        self.assertIn("works: tensorrt 11.4.0 (headers 11.4.0), on cuda", told)
        self.assertIn("not available here: it needs a GPU, and no NVIDIA driver is installed", told)
        told = self.prony("engines", "check", "tensorrt", "--device", "cuda", status=1)
        self.assertIn("no NVIDIA driver is installed", told)

    def test_what_is_no_tensorrt(self):
        install = ("engines", "install", "tensorrt", "--own")
        self.assertIn("there is no libnvinfer.so in", self.prony(*install, self.root, status=1))
        (self.own / "include").unlink()
        self.library.rename(self.own / "lib/libnvinfer.so.9")
        told = self.prony(*install, self.own, status=1)
        self.assertIn("there are no headers for TensorRT 9.0; the library must be 10.6", told)

    def test_headers_that_cannot_be_fetched(self):
        (self.own / "include").unlink()
        told = self.prony(
            *("engines", "install", "tensorrt", "--own", self.own),
            status=1,
            GIT_CONFIG_COUNT="1",
            GIT_CONFIG_KEY_0=f"url.{self.root}/.insteadOf",
            GIT_CONFIG_VALUE_0="https://github.com/",
        )
        # 11.0 is older than what there are headers for; a file beside the library tells 11.4.
        self.assertIn("there are no headers for TensorRT 11.0", told)
        (self.own / "lib/libnvinfer_builder_resource_sm90.so.11.4.0").touch()
        told = self.prony(
            *("engines", "install", "tensorrt", "--own", self.own),
            status=1,
            GIT_CONFIG_COUNT="1",
            GIT_CONFIG_KEY_0=f"url.{self.root}/.insteadOf",
            GIT_CONFIG_VALUE_0="https://github.com/",
        )
        self.assertIn("Put them where TensorRT is: PATH/include/NvInfer.h", told)


if __name__ == "__main__":
    fetch = subprocess.run(
        [SOURCE / "scripts/fetch-tensorrt-headers"], capture_output=True, text=True, check=False
    )
    if fetch.returncode != 0:
        print(f"skipped: {fetch.stderr.strip()}")
        sys.exit(77)
    HEADERS = fetch.stdout.strip()
    unittest.main()
