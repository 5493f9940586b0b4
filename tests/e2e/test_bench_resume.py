"""prony bench that is broken off: interruptions, kills, resuming, bad places to store."""

import os
import signal
import sqlite3
import subprocess
import unittest
from pathlib import Path

from bench_case import PRONY, BenchCase, power
from engine_folder import WORKER


class Resume(BenchCase):
    def interrupt(self, how):
        """Starts a run, ends it after its third process, and returns its status and stderr."""
        process = self.start("--model-path", self.model, "--framework", "quick", "slow")
        lines = [process.stderr.readline() for _ in range(5)]  # two of the equivalence gate
        self.assertTrue(all(line.startswith("block ") for line in lines[2:]), lines)
        process.send_signal(how)
        rest = process.stderr.read()
        process.stderr.close()
        return process.wait(timeout=60), rest

    def resume_and_check(self):
        kept = self.rows("SELECT * FROM process ORDER BY id")
        self.assertGreaterEqual(len(kept), 3)
        self.assertLess(len(kept), 12)
        self.bench("--resume")
        self.assertEqual(self.rows("SELECT * FROM process ORDER BY id")[: len(kept)], kept)
        self.assertEqual(
            self.rows(
                "SELECT block, count(DISTINCT variant), count(*) FROM process GROUP BY block"
            ),
            [(block, 2, 2) for block in range(6)],
        )
        self.assertEqual(self.rows("SELECT state FROM run"), [("complete",)])
        result = self.bench("--resume", status=1)
        self.assertIn("no unfinished run", result.stderr)

    def test_interrupt_and_resume(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(how=how):
                self.store.unlink(missing_ok=True)
                status, rest = self.interrupt(how)
                self.assertEqual(status, 130, rest)
                self.assertIn("prony bench --resume", rest)
                self.expect_no_workers()
                self.assertEqual(self.rows("SELECT state FROM run"), [("interrupted",)])
                self.resume_and_check()

    def test_host_killed(self):
        status, _ = self.interrupt(signal.SIGKILL)
        self.assertEqual(status, -signal.SIGKILL)
        self.expect_no_workers()
        self.assertEqual(self.rows("SELECT state FROM run"), [("running",)])
        self.resume_and_check()

    def test_a_block_keeps_its_idle_power(self):
        """The machine draws 20 W, and 60 W in a block that is gone on with."""
        words = ("--model-path", self.model, "--framework", "quick", "slow", "--blocks", "2")
        self.environment["PRONY_SYSFS"] = str(self.root / "sys")
        with power(self.root / "sys", 20):
            process = self.start(*words, "--iterations", "150")
            while not (line := process.stderr.readline()).startswith("block 1"):
                self.assertTrue(line)
            process.kill()
            process.stderr.close()
            process.wait(60)
        with power(self.root / "sys", 60):
            self.bench("--resume")
        idle = self.rows(
            "SELECT block, value FROM reading JOIN process ON process = process.id "
            "WHERE name = 'idle_w' ORDER BY process.id"
        )
        for (block, watts), expected in zip(
            idle, ((0, 20), (0, 20), (1, 60), (1, 60)), strict=True
        ):
            self.assertEqual(block, expected[0])
            self.assertLess(abs(watts / expected[1] - 1), 0.2)
        self.assertEqual(idle[0], idle[1])

    def test_worker_killed(self):
        process = self.start(
            "--model-path",
            self.model,
            "--framework",
            "slow",
            "--blocks",
            "2",
            "--iterations",
            "150",
        )
        victim = None
        while not victim:
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    if (
                        os.readlink(entry / "exe") == str(WORKER)
                        and str(self.store).encode() in (entry / "environ").read_bytes()
                    ):
                        victim = int(entry.name)
                except OSError:
                    pass
            self.assertIsNone(process.poll())
        os.kill(victim, signal.SIGKILL)
        errors = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=120), 0, errors)
        failures = self.rows("SELECT failure FROM process ORDER BY id")
        self.assertIn("killed by signal 9", failures[0][0])
        self.assertIsNone(failures[1][0])

    def test_resume_refuses_what_differs(self):
        self.interrupt(signal.SIGINT)
        result = self.bench("--resume", "--iterations", "30", status=1)
        self.assertIn("iterations was 20, now 30", result.stderr)
        result = self.bench("--resume", "--framework", "slow", status=1)
        self.assertIn("had another plan", result.stderr)
        connection = sqlite3.connect(self.store)
        connection.execute(
            "UPDATE run SET manifest = json_set(manifest, '$.machine.cpu.model', 'Another CPU')"
        )
        connection.commit()
        connection.close()
        result = self.bench("--resume", status=1)
        self.assertIn("Another CPU", result.stderr)
        self.assertEqual(len(self.rows("SELECT * FROM run")), 1)

    def test_resume_refuses_another_model_of_the_same_name(self):
        kept = self.model.read_bytes()
        self.addCleanup(self.model.write_bytes, kept)
        self.interrupt(signal.SIGINT)
        other = self.root / "other.gguf"
        make = [PRONY, "model", "make", "--size", "tiny", "--seed", "2", "--output", other]
        subprocess.run(make, check=True, capture_output=True)
        self.model.write_bytes(other.read_bytes())
        self.assertIn("model_sha256", self.bench("--resume", status=1).stderr)
        self.model.write_bytes(kept)
        self.bench("--resume")

    def test_resume_leaves_a_live_run_alone(self):
        process = self.start("--model-path", self.model, "--framework", "slow")
        process.stderr.readline()
        result = self.bench("--resume", status=1)
        self.assertIn("being measured by another process", result.stderr)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 130)

    def test_two_at_once(self):
        runs = [
            self.start("--model-path", self.model, "--framework", "quick", "slow", "--blocks", "2")
            for _ in range(2)
        ]
        for run in runs:
            errors = run.stderr.read()
            run.stderr.close()
            self.assertEqual(run.wait(timeout=120), 0, errors)
        self.assertEqual(
            self.rows("SELECT run, count(*) FROM process GROUP BY run"), [(1, 4), (2, 4)]
        )

    def test_full_disk(self):
        small = self.root / "small"
        small.mkdir()
        if (
            os.geteuid()
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(small)],
                capture_output=True,
                check=False,
            ).returncode
        ):
            self.skipTest("a small file system takes root and the right to mount")
        try:
            self.environment["PRONY_STORE"] = str(small / "results.db")
            result = self.bench("--model-path", self.model, "--framework", "quick", status=1)
            self.assertIn("full", result.stderr)
            self.assertIn(str(small), result.stderr)
            self.assertNotIn("block 1", result.stderr)
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_disk_fills_in_the_run(self):
        small = self.root / "filling"
        small.mkdir()
        if (
            os.geteuid()
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small)],
                capture_output=True,
                check=False,
            ).returncode
        ):
            self.skipTest("a small file system takes root and the right to mount")
        try:
            self.store = small / "results.db"
            self.environment["PRONY_STORE"] = str(self.store)
            process = self.start(
                "--model-path",
                self.model,
                "--framework",
                "quick",
                "--blocks",
                "400",
                "--iterations",
                "150",
            )
            while not process.stderr.readline().startswith("block "):
                pass
            with open(small / "filler", "wb", buffering=0) as filler:
                try:
                    while filler.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            errors = process.stderr.read()
            process.stderr.close()
            self.assertEqual(process.wait(timeout=120), 1, errors)
            self.assertIn("full", errors)
            (small / "filler").unlink()
            whole = self.rows("SELECT count(*) FROM token GROUP BY process")
            self.assertTrue(whole and all(count == (159,) for count in whole), whole)
            self.expect_no_workers()
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_store_that_cannot_be(self):
        for place, part in (
            ("/proc/nothing/results.db", "PRONY_STORE"),
            (str(self.root), str(self.root)),
        ):
            self.environment["PRONY_STORE"] = place
            result = self.bench("--model-path", self.model, "--framework", "quick", status=1)
            self.assertIn(part, result.stderr)
            self.assertNotIn("block 1", result.stderr)

    def test_control_is_resumed(self):
        process = self.start("--model-path", self.model, "--framework", "slow", "--control")
        lines = [process.stderr.readline() for _ in range(4)]  # one of the equivalence gate
        self.assertTrue(all(line.startswith("block ") for line in lines[1:]), lines)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=60), 130)
        result = self.bench("--resume")
        self.assertIn("A/A control: slow ran twice", " ".join(result.stdout.split()))
        self.assertIn("half the width of the control", " ".join(result.stdout.split()))
        names = self.rows("SELECT name FROM variant ORDER BY position")
        self.assertEqual(names, [("slow",), ("slow-control",)])


if __name__ == "__main__":
    unittest.main()
