"""prony-probe-cuda with drivers that the tests made up: none, old ones, failing ones, a good one."""

import json
import os
import pathlib
import subprocess
import unittest

BUILD = pathlib.Path(os.environ["PRONY_BUILD"])
FAKE = BUILD / "tests/fake"
KERNELS = (BUILD / "src/stream.fatbin").exists()


def probe(*arguments, fake="", library=FAKE):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_CUDA": fake}
    run = subprocess.run(
        [BUILD / "prony-probe-cuda", *arguments], capture_output=True, text=True, env=environment
    )
    answer = json.loads(run.stdout)
    assert (run.returncode == 0) == ("error" not in answer), run
    return answer


class Probe(unittest.TestCase):
    def fails(self, *arguments, what, remedy=".*", where=".*", **options):
        error = probe(*arguments, **options)["error"]
        self.assertRegex(error["what"], what)
        self.assertRegex(error["remedy"], remedy)
        self.assertRegex(error["where"], where)

    def bandwidth_fails(self, **expected):
        """In a build without CUDA's compiler, that is what is wrong before anything else."""
        if not KERNELS:
            expected["what"], expected["remedy"] = "built without CUDA", "find-nvcc"
        self.fails("bandwidth", "cuda", "10", **expected)

    def test_describes_a_card(self):
        card = probe("describe", "cuda")
        self.assertEqual((card["name"], card["pci"]), ("Fake GPU", "0000:01:00.0"))
        self.assertEqual((card["compute_major"], card["cuda_version"]), (9, 13000))

    def test_no_driver(self):
        self.fails(
            "describe",
            "cuda",
            library="",
            what="no NVIDIA driver is installed",
            where="libcuda",
            remedy="Install NVIDIA's driver.*--device cpu",
        )

    def test_a_driver_too_old(self):
        old = {"what": "the NVIDIA driver is too old", "remedy": "580 or newer"}
        self.fails("describe", "cuda", fake="version=11040", **old)
        self.fails("describe", "cuda", library=FAKE / "old", **old)

    def test_no_card(self):
        self.fails("describe", "cuda", fake="cuInit=100", what="error 100", remedy="nvidia-smi")
        self.fails("describe", "cuda", fake="count=0", what="shows 0 GPUs", remedy="nvidia-smi")
        self.fails("describe", "cuda:1", what="no cuda:1: the driver shows 1 GPU$")

    def test_an_unsupported_card(self):
        self.fails("describe", "cuda", fake="major=7", what="Fake GPU has compute capability 7.0")

    def test_devices_that_are_none(self):
        for device in ("gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:99999", "cpu"):
            self.fails("describe", device, what="there is no device", remedy="cuda:N")

    def test_wrong_arguments(self):
        self.fails("bandwidth", "cuda", what="wrong arguments", remedy="Usage")

    def test_reads_all_of_the_memory(self):
        if KERNELS:
            result = probe("bandwidth", "cuda", "10")
            self.assertEqual(result["bytes"], (64 << 20) // 4)
            self.assertAlmostEqual(result["bytes_per_second"], result["bytes"] / 2e-3)
            self.assertEqual(result["kernel"], "plain")
        self.bandwidth_fails(fake="lose=1", what="read other bytes than it wrote")

    def test_out_of_memory(self):
        self.bandwidth_fails(fake="free=100000", what="too little GPU memory is free")
        self.bandwidth_fails(fake="cuMemAlloc_v2=2", what="out of GPU memory: 0.017 GB")
        self.fails(
            "bandwidth", "cuda", "10", fake="cuDevicePrimaryCtxRetain=2", what="OUT_OF_MEMORY"
        )

    def test_kernels_that_the_driver_does_not_take(self):
        self.bandwidth_fails(
            fake="cuModuleLoadData=222 version=12080",
            what="load the kernels 'stream' on Fake GPU .*CUDA 12.8",
            remedy="580",
        )

    def test_a_card_lost_on_the_way(self):
        self.bandwidth_fails(fake="cuEventSynchronize=719", what="719", remedy="Xid")


if __name__ == "__main__":
    unittest.main()
