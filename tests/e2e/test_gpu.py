"""--device on machines that the tests made up: with NVIDIA's driver and card, and without."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from engine_folder import BUILD, WORKER, engine_write

PRONY = os.environ["PRONY"]
FAKE = BUILD / "tests/fake"
KERNELS = (BUILD / "src/stream.fatbin").exists()


def paced_write(folder, name, devices, logits=False, **options):
    """An engine that waits, and says that it does so on these devices. Its logits are of no model:
    with them the gate would find it out."""
    options = {"token_us": 100, "vocabulary": 512, "memory_mb": 1} | options
    supports = {"devices": devices, "sampling": True, "logits": logits}
    engine_write(folder, name, [str(WORKER)], options, hidden=False, **supports)


class Gpu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.model = cls.root / "tiny.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--output", cls.model]
        subprocess.run(make, check=True, capture_output=True)
        paced_write(cls.root / "engines", "both", ["cpu", "cuda"])
        paced_write(cls.root / "engines", "old", ["cpu"])

    def prony(self, *words, status=0, library=FAKE, fake="", nvml="", environment=None):
        run = subprocess.run(
            [PRONY, *map(str, words)],
            env=os.environ
            | {
                "PRONY_STORE": str(self.root / "store.db"),
                "PRONY_CACHE": str(self.root / "cache"),
                "PRONY_ENGINE_PATH": str(self.root / "engines"),
                "LD_LIBRARY_PATH": str(library),
                "FAKE_CUDA": fake,
                "FAKE_NVML": nvml,
                **(environment or {}),
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        self.assertEqual(run.returncode, status, run.stderr)
        return run

    def bench(self, *words, **options):
        return self.prony("bench", "--model-path", self.model, "--quick", *words, **options)

    def bench_json(self, *words, **options):
        output = self.root / "run.json"
        self.bench(*words, "--output", output, **options)
        return json.loads(output.read_text())

    def commands(self):
        yield "bench", "--model-path", self.model, "--device"
        yield "--model", self.model, "--prompt", "a", "--framework", "both", "--device"
        yield "engines", "check", "both", "--device"


class Devices(Gpu):
    def test_no_driver_ends_every_command_alike(self):
        for command in self.commands():
            error = self.prony(*command, "cuda", status=1, library="").stderr
            self.assertRegex(error, r"^Error: no NVIDIA driver is installed \(.*\)\. Install")
            self.assertEqual(error.count("\n"), 1)

    def test_no_such_device(self):
        for command in self.commands():
            for device in ("gpu", "cuda:", "cudax", ""):
                error = self.prony(*command, device, status=1).stderr
                self.assertIn(f"there is no device '{device}'. Devices are cpu, cuda", error)
            error = self.prony(*command, "cuda:1", status=1).stderr
            self.assertIn("there is no cuda:1: the driver shows 1 GPU", error)

    def test_the_plan_names_the_card(self):
        plan = self.bench("--device", "cuda", "--dry-run").stdout
        self.assertIn("cuda: Fake GPU", plan)

    def test_the_report_names_the_card(self):
        shown = self.bench("--device", "cuda", "--framework", "both", nvml="tree=50000000").stdout
        self.assertRegex(shown, r"tiny.gguf \(\w+\) on Fake GPU, 1 block")
        self.assertRegex(shown, r"Device Memory \(GB\) +0\.0500")

    def test_what_cannot_use_it_stays_as_a_row(self):
        run = self.bench_json("--device", "cuda:0", "--framework", "old", "both")
        old, both = run["results"]
        self.assertIn("does not run on device cuda; use --device cpu", old["unavailable"])
        self.assertIsNone(both["unavailable"])

    def test_none_that_can_use_it(self):
        error = self.bench("--device", "cuda", "--framework", "old", status=1).stderr
        self.assertIn("none of the chosen variants can run here", error)
        self.assertIn("does not run on device cuda", error)

    def test_talking_and_checking(self):
        talk = ("--model", self.model, "--prompt", "a", "--max-tokens", 3, "--framework")
        self.prony(*talk, "both", "--device", "cuda")
        error = self.prony(*talk, "old", "--device", "cuda", status=1).stderr
        self.assertIn("old does not run on device cuda", error)
        paced_write(self.root / "engines", "checked", ["cuda"], logits=True)
        self.addCleanup(shutil.rmtree, self.root / "engines" / "checked")
        self.prony("engines", "check", "checked", "--device", "cuda")
        error = self.prony("engines", "check", "old", "--device", "cuda:0", status=1).stderr
        self.assertIn("Error: old does not run on device cuda:0. 'prony engines'", error)

    def test_a_driver_that_crashes_or_hangs_up(self):
        error = self.bench("--device", "cuda", status=1, fake="abort=1").stderr
        self.assertIn("the NVIDIA driver did not answer: prony-probe-cuda killed by", error)
        self.assertIn("nvidia-smi", error)


class Failures(Gpu):
    """What goes wrong in the native engine is its row's reason, and the others go on."""

    def failure(self, fake):
        run = self.bench_json(
            "--device", "cuda", "--framework", "native-f16", "both", fake=f"major=8 {fake}"
        )
        native, both = run["results"]
        self.assertIsNone(both["failure"])
        self.assertIsNotNone(both["metrics"]["tpot_ms"]["value"])
        self.assertIsNotNone(native["failure"])
        return native["failure"]

    def test_out_of_memory(self):
        expected = "out of GPU memory: .* GB were asked for, 0.067 of 1.074 GB are free.*nvidia-smi"
        self.assertRegex(self.failure("cuMemAlloc_v2=2"), expected)

    def test_a_card_lost_on_the_way(self):
        self.assertRegex(self.failure("cuStreamSynchronize=719"), "CUDA error 719.*Xid")

    def test_kernels_that_the_driver_does_not_take(self):
        expected = "load the kernels .*Install NVIDIA's driver" if KERNELS else "built without CUDA"
        self.assertRegex(self.failure("cuModuleLoadData=222"), expected)

    def test_no_context(self):
        self.assertIn("open a context on cuda:0", self.failure("cuDevicePrimaryCtxRetain=46"))


class Bandwidth(Gpu):
    def test_the_limit_is_the_card_s(self):
        run = self.bench_json("--device", "cuda", "--framework", "both")
        metrics = run["results"][0]["metrics"]
        if KERNELS:
            self.assertAlmostEqual(
                metrics["bandwidth_gb_per_second"]["value"], (64 << 20) / 4 / 2e-3 / 1e9, places=2
            )
            self.assertIsNotNone(metrics["limit_percent"]["value"])
        else:
            self.assertIsNone(metrics["bandwidth_gb_per_second"]["value"])

    def test_without_it_the_rest_is_measured(self):
        run = self.bench_json("--device", "cuda", "--framework", "both", fake="cuMemAlloc_v2=2")
        metrics = run["results"][0]["metrics"]
        self.assertIsNone(metrics["bandwidth_gb_per_second"]["value"])
        self.assertIsNotNone(metrics["tpot_ms"]["value"])


class Doctor(Gpu):
    def line(self, status=0, **options):
        shown = self.prony("engines", "doctor", status=status, **options).stdout
        return next(line for line in shown.splitlines() if line.startswith("gpu: "))

    def test_a_card(self):
        expected = "gpu: cuda:0: Fake GPU, 1.1 GB, 700 W, driver 580.1, CUDA 13.0"
        self.assertEqual(self.line(), expected)
        poor = "nvmlDeviceGetEnforcedPowerLimit=3"
        self.assertEqual(self.line(nvml=poor), expected.replace(", 700 W", ""))

    def test_no_card(self):
        self.assertIn(
            "gpu: not available: no NVIDIA driver is installed. In", self.line(library="")
        )

    def test_a_card_that_nvml_does_not_show(self):
        self.assertIn("cuda:0: Fake GPU; NVML does not show it", self.line(nvml="nvmlInit_v2=9"))

    def test_a_card_that_does_not_work(self):
        line = self.line(status=1, fake="cuInit=803")
        self.assertIn("does not work: cannot start the NVIDIA driver", line)
        self.assertIn("restart the machine", line)


class Hint(Gpu):
    def test_a_gpu_that_is_not_used_is_mentioned(self):
        hint = "Hint: this machine has a GPU (Fake GPU)"
        words = ("--framework", "both")
        self.assertIn(hint, self.bench(*words).stderr)
        self.assertNotIn("Hint", self.bench(*words, "--device", "cpu").stderr)
        self.assertNotIn("Hint", self.bench(*words, nvml="count=0").stderr)
        self.assertNotIn("Hint", self.bench(*words, library="").stderr)


class Memory(Gpu):
    def run_metrics(self, **options):
        run = self.bench_json("--device", "cuda", "--framework", "both", **options)
        return run["results"][0]["metrics"]

    def test_is_measured_by_the_host(self):
        metrics = self.run_metrics(nvml="used=5000000 tree=40000000")
        self.assertAlmostEqual(metrics["device_memory_gb"]["value"], 0.04)
        self.assertAlmostEqual(metrics["peak_memory_gb"]["value"], 0.04)

    def test_without_nvml_the_engine_s_word_stands(self):
        metrics = self.run_metrics(nvml="nvmlInit_v2=9")
        self.assertIsNone(metrics["device_memory_gb"]["value"])
        self.assertIsNotNone(metrics["peak_memory_gb"]["value"])


class Cards(Gpu):
    """A model that is split over several, of which the host watches the first."""

    def setUp(self):
        paced_write(self.root / "engines", "split", ["cuda"])
        self.addCleanup(shutil.rmtree, self.root / "engines" / "split")
        path = self.root / "engines/split/engine.json"
        manifest = json.loads(path.read_text())
        manifest["variants"][0]["supports"]["shard"] = ["cuda"]
        path.write_text(json.dumps(manifest))

    def test_more_than_there_are(self):
        words = ("--device", "cuda", "--framework", "split", "--shard", 2)
        self.assertIn("over 2 devices: there is 1", self.bench(*words, status=1).stderr)

    def test_one_card_says_nothing_of_two(self):
        words = ("--device", "cuda", "--framework", "split", "--shard", 1, 2)
        run = self.bench_json(*words, nvml="count=2 used=5000000 tree=40000000")
        one, two = (row["metrics"] for row in run["results"])
        self.assertAlmostEqual(one["device_memory_gb"]["value"], 0.04)
        for name in ("device_memory_gb", "bandwidth_gb_per_second", "limit_percent"):
            self.assertIsNone(two[name]["value"], name)
        self.assertIsNotNone(two["tpot_ms"]["value"])


class Interference(Gpu):
    def readings(self, nvml):
        output = self.root / "run.json"
        words = ("--device", "cuda", "--framework", "both", "--output", output)
        result = self.bench(*words, nvml=nvml)
        run = json.loads(output.read_text())
        return result, run, run["results"][0]["samples"][0]["readings"]

    def test_a_quiet_card(self):
        result, _, readings = self.readings("clock=1979 tree=50000000")
        self.assertEqual((readings["gpu_foreign"], readings["gpu_throttle"]), (0, 1))
        self.assertEqual(readings["gpu_clock_hz"], 1.98e9)
        self.assertEqual((readings["gpu_thermal_share"], readings["gpu_power_share"]), (0, 0))
        self.assertNotIn("GPU slowed", result.stderr)

    def test_others_and_heat_disturb_a_block(self):
        result, run, readings = self.readings("pid=1 bytes=1000 throttle=64")
        self.assertEqual((readings["gpu_foreign"], readings["gpu_throttle"]), (1, 64))
        for text in ("1 other program was on the GPU", "the GPU slowed down (thermal (hardware))"):
            self.assertIn(text, result.stderr)
            self.assertIn(text, " ".join(result.stdout.split()))
        self.assertEqual(run["run"]["blocks_disturbed"], 1)

    def test_one_that_came_and_went_disturbs_a_block(self):
        """The driver's samples are of the worker's second second and later."""
        paced_write(self.root / "engines", "slow", ["cuda"], load_ms=1200)
        self.addCleanup(shutil.rmtree, self.root / "engines" / "slow")
        for nvml, others in ("tree=50000000 user=4711", 1), ("tree=50000000", 0):
            output = self.root / "run.json"
            words = ("--device", "cuda", "--framework", "slow", "--output", output)
            result = self.bench(*words, nvml=nvml)
            run = json.loads(output.read_text())
            self.assertEqual(run["results"][0]["samples"][0]["readings"]["gpu_foreign"], others)
            self.assertEqual("1 other program was on the GPU" in result.stderr, others == 1)

    def test_idle_power_is_exact_though_the_counter_is_slow(self):
        _, run, readings = self.readings("power=300 step=50")
        self.assertAlmostEqual(readings["idle_w"] / 300, 1, delta=0.05)
        self.assertAlmostEqual(readings["energy_step_s"], 0.05, delta=0.01)
        metrics = run["results"][0]["metrics"]
        self.assertIn("less than 20 renewals", metrics["energy_j_per_token"]["why"])

    def test_a_counter_that_rests_tells_nothing(self):
        _, run, readings = self.readings("")
        self.assertNotIn("idle_w", readings)
        self.assertIn("or they do not move", run["results"][0]["metrics"]["idle_power_w"]["why"])


if __name__ == "__main__":
    unittest.main()
