"""prony bench as a user runs it: whole runs, failing engines, interruptions, bad places to store."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
BUILD = Path(os.environ["PRONY_BUILD"])
WORKER = BUILD / "engines/null/worker"
INSTALL = {
    "python": ["3.8", "3.99"],
    "versions": [
        {"version": "1.0", "requirements": "requirements.txt", "download_mb": 1, "disk_mb": 1}
    ],
}


def engine_write(folder, name, command, options=None, devices=("cpu",), install=None):
    """An engine's folder with one variant of the same name."""
    home = Path(folder) / name
    home.mkdir(parents=True)
    manifest = {
        "name": name,
        "title": name.title(),
        "licence": "MIT",
        "about": "For a test.",
        "command": command,
        "hidden": True,
        "variants": [
            {
                "name": name,
                "title": name.title(),
                "precision": "float32",
                "about": "For a test.",
                "supports": {"formats": ["gguf", "safetensors"], "devices": list(devices)},
                "options": options or {},
            }
        ],
    }
    if install:
        manifest["install"] = install
    (home / "engine.json").write_text(json.dumps(manifest))
    return home


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.root = Path(cls.folder.name)
        cls.model = root / "tiny.gguf"
        subprocess.run(
            [PRONY, "model", "make", "--size", "tiny", "--output", cls.model],
            check=True,
            capture_output=True,
        )
        engines = root / "engines"
        engine_write(engines, "quick", [str(WORKER)], {"token_us": 100, "prefill_us": 1})
        engine_write(engines, "slow", [str(WORKER)], {"token_us": 4000, "prefill_us": 1})
        engine_write(engines, "missing", ["{python}", "worker.py"], install=INSTALL)
        engine_write(engines, "elsewhere", [str(WORKER)], devices=("cuda",))
        broken = engine_write(engines, "broken", ["./worker"])
        (broken / "worker").write_text("#!/bin/sh\necho the library is gone >&2\nexit 3\n")
        (broken / "worker").chmod(0o755)
        # Fails every other time it is started.
        moody = engine_write(engines, "moody", ["./worker"], {"token_us": 100, "prefill_us": 1})
        (moody / "worker").write_text(
            f"#!/bin/sh\nif mkdir turn 2>/dev/null; then exit 3; fi\nrmdir turn\nexec {WORKER}\n"
        )
        (moody / "worker").chmod(0o755)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.store = self.root / f"{self.id().rsplit('.', 1)[-1]}.db"
        self.environment = dict(
            os.environ,
            PRONY_STORE=str(self.store),
            PRONY_REDO="0",
            PRONY_CACHE=str(self.root / "cache"),
            PRONY_ENGINE_PATH=str(self.root / "engines"),
        )

    def arguments(self, *words):
        return [PRONY, "bench", *map(str, words)]

    def bench(self, *words, status=0):
        result = subprocess.run(
            self.arguments(*words),
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        return result

    def start(self, *words):
        return subprocess.Popen(
            self.arguments(*words),
            env=self.environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def rows(self, query):
        connection = sqlite3.connect(self.store)
        try:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def workers_left(self):
        left = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self.store).encode() in entry.read_bytes():
                    left.append(entry.parent.name)
            except OSError:
                pass
        return left

    def expect_no_workers(self):
        deadline = time.monotonic() + 20
        while self.workers_left() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.workers_left(), [])

    def test_complete_run(self):
        output = self.root / "run.json"
        result = self.bench(
            "--model-path", self.model, "--framework", "quick", "slow", "--output", output
        )
        self.assertIn("Steady-State Latency (ms)", result.stdout)
        document = json.loads(output.read_text())
        self.assertEqual(document["plan"]["blocks"], 6)
        self.assertEqual(document["manifest"]["model"]["vocabulary"], 512)
        self.assertRegex(document["manifest"]["model"]["sha256"], "^[0-9a-f]{64}$")
        self.assertIn("cpu", document["manifest"]["machine"])
        self.assertEqual(self.rows("SELECT state FROM run"), [("complete",)])
        self.assertEqual(self.rows("SELECT count(*), count(failure) FROM process"), [(12, 0)])
        self.assertEqual(
            self.rows("SELECT DISTINCT n FROM (SELECT count(*) AS n FROM token GROUP BY process)"),
            [(29,)],
        )
        # Each variant goes first equally often.
        self.assertEqual(
            self.rows("SELECT variant, count(*) FROM process WHERE position = 0 GROUP BY variant"),
            [(0, 3), (1, 3)],
        )
        # Stamps in the order of a process's life.
        self.assertEqual(
            self.rows(
                "SELECT count(*) FROM process WHERE NOT (spawned_ns < hello_ns AND"
                " hello_ns <= load_asked_ns AND load_asked_ns < load_ready_ns AND"
                " load_ready_ns <= cold_asked_ns AND cold_asked_ns <= cold_prompt_ns AND"
                " cold_prompt_ns < cold_first_ns AND cold_first_ns < prompt_ns)"
            ),
            [(0,)],
        )
        self.assertEqual(
            self.rows(
                "SELECT count(*) FROM process WHERE memory_before <= 0 OR"
                " memory_peak < memory_loaded OR bandwidth <= 0"
            ),
            [(0,)],
        )
        self.expect_no_workers()

    def test_native_repeats_itself(self):
        self.bench(
            "--model-path",
            self.model,
            "--framework",
            "native-f32",
            "--blocks",
            "2",
            "--iterations",
            "5",
            "--prompt-tokens",
            "9",
        )
        streams = self.rows(
            "SELECT group_concat(id) FROM (SELECT * FROM token ORDER BY process,"
            " step) GROUP BY process"
        )
        self.assertEqual(len(streams), 2)
        self.assertEqual(streams[0], streams[1])
        self.assertEqual(len(streams[0][0].split(",")), 1 + 8 + 5)

    def test_quick_claims_nothing(self):
        result = self.bench("--model-path", self.model, "--framework", "quick", "slow", "--quick")
        self.assertIn("No verdict", result.stdout)
        self.assertEqual(self.rows("SELECT count(*) FROM process"), [(2,)])

    def test_failing_engine_is_a_row(self):
        result = self.bench(
            "--model-path",
            self.model,
            "--framework",
            "broken",
            "quick",
            "missing",
            "elsewhere",
            "--blocks",
            "4",
        )
        self.assertIn("the library is gone", result.stdout)
        self.assertIn("does not run on device cpu", " ".join(result.stdout.split()))
        self.assertIn(
            "not installed. Run: prony engines install missing", " ".join(result.stdout.split())
        )
        # After two failures a variant is left out; the others go on.
        self.assertEqual(
            self.rows(
                "SELECT name, count(process.id), count(failure) FROM variant"
                " LEFT JOIN process ON variant = variant.position"
                " GROUP BY name ORDER BY name"
            ),
            [("broken", 2, 2), ("elsewhere", 0, 0), ("missing", 0, 0), ("quick", 4, 0)],
        )
        log = self.rows("SELECT failure, log_tail FROM process WHERE failure IS NOT NULL")[0]
        self.assertIn("the library is gone", log[0])
        self.expect_no_workers()

    def test_one_failure_costs_one_process(self):
        result = self.bench("--model-path", self.model, "--framework", "moody", "--blocks", "2")
        self.assertIn("moody failed in 1 of 2 processes", " ".join(result.stdout.split()))

    def test_nothing_measured(self):
        self.bench("--model-path", self.model, "--framework", "broken", "--quick", status=5)
        result = self.bench("--model-path", self.model, "--framework", "missing", status=1)
        self.assertIn("none of the chosen variants can run here", result.stderr)

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

    def test_disturbed_block_is_done_again(self):
        """Beside a process that spins."""
        output = self.root / "disturbed.json"
        words = ["--model-path", self.model, "--framework", "slow", "--blocks", "1"]
        words += ["--iterations", "180", "--output", output]
        del self.environment["PRONY_REDO"]
        spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            result = self.bench(*words)
            attempts = "SELECT run, attempt FROM process ORDER BY id"
            self.assertEqual(self.rows(attempts), [(1, 0), (1, 1)])
            self.assertIn("disturbed: other programs used", result.stderr)
            self.assertIn("1 block was measured again", result.stdout.replace("\n", " "))
            self.assertIn("Disturbed Processes", result.stdout)
            note = (
                "1 block was disturbed and not measured again: block 1 (slow: other programs used"
            )
            self.assertIn(note, " ".join(result.stdout.split()))
            run = json.loads(output.read_text())
            self.assertEqual(run["run"]["blocks_redone"], 1)
            self.assertEqual(run["run"]["blocks_disturbed"], 1)
            self.assertEqual([s["attempt"] for s in run["results"][0]["samples"]], [1])
            self.assertGreater(run["results"][0]["samples"][0]["readings"]["foreign_cores"], 0.1)
            self.bench(*words, "--no-redo")
            self.assertEqual(self.rows(attempts), [(1, 0), (1, 1), (2, 0)])
        finally:
            spinner.kill()
            spinner.wait()

    def points(self, *words):
        """The points of a run, and of the same run gone on with after its first processes."""
        output = self.root / "points.json"
        self.bench("--model-path", self.model, "--framework", "quick", *words, "--output", output)
        points = json.loads(output.read_text())["points"]
        connection = sqlite3.connect(self.store)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM process WHERE point > 1")
        connection.execute("UPDATE run SET state = 'interrupted'")
        connection.commit()
        connection.close()
        self.bench("--resume", "--output", output)
        again = json.loads(output.read_text())["points"]
        for point, other in zip(points, again, strict=True):
            for key in ("prompt_tokens", "context", "pages", "compile_cache"):
                self.assertEqual(point[key], other[key])
        return points

    def test_sweep(self):
        table = self.root / "sweep.points.csv"
        words = ["--prompt-tokens", "16", "64", "--context", "128", "200", "--blocks", "2"]
        points = self.points(*words)
        lengths = [(point["prompt_tokens"], point["context"]) for point in points]
        self.assertEqual(lengths, [(16, 128), (16, 200), (64, 128), (64, 200)])
        for point in points:
            self.assertEqual(point["results"][0]["metrics"]["tpot_ms"]["blocks"], 2)
            self.assertIsNone(point["pages"])
        self.assertEqual(
            self.rows("SELECT point, prompt_tokens, count(*) FROM process GROUP BY point"),
            [(0, 16, 2), (1, 16, 2), (2, 64, 2), (3, 64, 2)],
        )
        result = subprocess.run(
            [PRONY, "report", "--output", table],
            env=self.environment,
            text=True,
            capture_output=True,
            check=True,
        )
        self.assertIn("TPOT 64 in 200 (ms)", result.stdout)
        lines = table.read_text().splitlines()
        self.assertEqual(len(lines), 5)
        self.assertTrue(lines[0].endswith(",fair_comparison,equivalence"))
        self.assertTrue(lines[1].endswith(",yes,not gated"))
        result = self.bench("--model-path", self.model, "--context", *range(200, 217), status=1)
        self.assertIn("16 values at most", result.stderr)

    def test_cold_starts(self):
        """Pages are out of the cache before a cold start, and a compile cache is as it should be."""
        cache = self.root / "cache-seen"
        cold = engine_write(self.root / "engines", "caching", ["./worker"], {"token_us": 100})
        (cold / "worker").write_text(
            f'#!/bin/sh\nkept=${{PRONY_ENGINE_CACHE:-.}}\nls "$kept" | wc -l >>{cache}\n'
            f'touch "$kept/compiled"\nexec {WORKER}\n'
        )
        (cold / "worker").chmod(0o755)
        model = Path(__file__).parent / f".cold-{os.getpid()}.gguf"  # /tmp may be a tmpfs
        self.addCleanup(model.unlink, missing_ok=True)
        shutil.copy(self.model, model)
        output = self.root / "cold.json"
        words = ["--model-path", model, "--framework", "caching", "--cold", "--blocks", "2"]
        result = self.bench(*words, "--output", output)
        self.assertIn("Pages cold, cache cold", result.stdout)
        points = json.loads(output.read_text())["points"]
        kinds = [(point["pages"], point["compile_cache"]) for point in points]
        matrix = [(p, c) for c in ("warm", "cold") for p in ("warm", "cold")]
        self.assertEqual(kinds, [(None, None), *matrix])
        for point in points[1:]:
            metrics = point["results"][0]["metrics"]
            self.assertEqual(metrics["start_to_first_token_s"]["blocks"], 2)
            self.assertNotIn("tpot_ms", metrics)
            if point["pages"] == "warm":
                self.assertGreater(point["pages_resident"], 0.99)
        if "not cold" not in result.stdout:
            self.assertLess(points[2]["pages_resident"], 0.01)
            self.assertLess(points[4]["pages_resident"], 0.01)
        # The run's own; one that fills the warm cache; two warm, two cold; and the second block's.
        seen = [int(line) for line in cache.read_text().split()]
        self.assertEqual(seen[1:6], [0, 1, 1, 0, 0])
        self.assertEqual(seen[7:], [1, 1, 0, 0])
        self.assertEqual(list((self.root / "cache" / "cold").iterdir()), [])

    def test_energy(self):
        """Counters in a copy of the kernel's folder, which count 20 W whatever happens."""
        zone = self.root / "sys/class/powercap/intel-rapl:0"
        zone.mkdir(parents=True)
        (zone / "name").write_text("package-0\n")
        (zone / "max_energy_range_uj").write_text("262143328850\n")
        counting = threading.Event()

        def count():
            while not counting.wait(0.002):
                (zone / "next").write_text(f"{int(time.monotonic() * 20e6)}\n")
                (zone / "next").rename(zone / "energy_uj")

        (zone / "energy_uj").write_text("0\n")
        counter = threading.Thread(target=count)
        counter.start()
        output = self.root / "energy.json"
        words = ["--model-path", self.model, "--framework", "slow", "--blocks", "2"]
        try:
            self.environment["PRONY_SYSFS"] = str(self.root / "sys")
            result = self.bench(*words, "--iterations", "150", "--output", output)
        finally:
            counting.set()
            counter.join()
        run = json.loads(output.read_text())
        self.assertEqual(run["manifest"]["energy"], "RAPL (package-0)")
        self.assertIn("Energy per Token (J)", result.stdout)
        self.assertEqual(run["results"][0]["metrics"]["idle_power_w"]["blocks"], 2)
        self.assertIsNotNone(run["results"][0]["metrics"]["energy_j_per_token"]["value"])
        readings = run["results"][0]["samples"][0]["readings"]
        self.assertLess(abs(readings["energy_j"] / readings["energy_s"] - 20), 10)
        self.environment["PRONY_SYSFS"] = str(self.root / "nothing")
        result = self.bench(*words, "--wide", "--output", output)
        run = json.loads(output.read_text())
        self.assertIn("not available: this machine shows no energy", run["manifest"]["energy"])
        metric = run["results"][0]["metrics"]["energy_j_per_token"]
        self.assertIsNone(metric["value"])
        self.assertIn("no energy counters can be read", metric["why"])

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

    def test_control(self):
        """The yardstick twice: a column, a note, and in no verdict."""
        options = ["--model-path", self.model, "--framework", "missing", "quick", "slow"]
        output = self.root / "control.json"
        options += ["--control", "--iterations", "8", "--blocks", "2"]
        plan = self.bench(*options, "--dry-run")
        self.assertRegex(plan.stdout, r"\n  quick-control +float32 ")
        result = self.bench(*options, "--output", output)
        for part in ("Quick (control)", "A/A control: quick ran twice in each block"):
            self.assertIn(part, " ".join(result.stdout.split()))
        stored = json.loads(output.read_text())
        names = [row["framework"] for row in stored["results"]]
        self.assertEqual(names, ["missing", "quick", "slow", "quick-control"])
        pairs = {(pair["a"], pair["b"]) for pair in stored["comparisons"]}
        self.assertEqual(pairs, {("quick", "slow")})

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

    def test_dry_run(self):
        result = self.bench(
            "--model-path", self.model, "--framework", "quick", "slow", "missing", "--dry-run"
        )
        self.assertIn("not available", result.stdout)
        self.assertRegex(result.stdout, r"block 1\s+quick slow")
        self.assertRegex(result.stdout, r"block 6\s")
        self.assertFalse(self.store.exists())

    def test_type_mismatch(self):
        result = self.bench(
            "--framework",
            "native",
            "--model-type",
            "gpt",
            "--model-path",
            self.model.parent,
            status=1,
        )
        self.assertEqual(
            result.stderr, "Error: Model type mismatch: Expected 'gpt' but detected 'llama'\n"
        )
        self.assertEqual(result.stdout, "")
        self.assertFalse(self.store.exists())

    def test_bad_models(self):
        empty, cut = self.root / "bad" / "empty.gguf", self.root / "bad" / "cut.gguf"
        empty.parent.mkdir()
        empty.write_bytes(b"")
        cut.write_bytes(self.model.read_bytes()[:100000])
        for path in (empty, cut, self.root / "bad" / "nothing.gguf"):
            result = self.bench("--model-path", path, "--framework", "quick", status=1)
            self.assertIn(str(path), result.stderr)
            self.assertEqual(result.stdout, "")
        shutil.rmtree(empty.parent)

    def test_options_of_later_versions(self):
        for words in (
            ["--quantize", "int8"],
            ["--shard", "2"],
        ):
            result = self.bench("--model-path", self.model, *words, status=1)
            self.assertRegex(result.stderr, r"^Error: .*this version", words)

    def test_other_corners_of_pytorch(self):
        """Each of the two options gives up one of the two things that pytorch-opt turns on."""
        home = engine_write(self.root / "corners", "pytorch", [str(WORKER)])
        manifest = json.loads((home / "engine.json").read_text())
        names = ("base", "opt", "opt-no-compile", "opt-no-half")
        manifest["variants"] = [
            {**manifest["variants"][0], "name": f"pytorch-{name}", "default": i < 2}
            for i, name in enumerate(names)
        ]
        (home / "engine.json").write_text(json.dumps(manifest))
        self.environment["PRONY_ENGINE_PATH"] = str(home)
        for words, expected in (
            ([], ["base", "opt"]),
            (["--pytorch-no-compile"], ["base", "opt-no-compile"]),
            (["--pytorch-no-half"], ["base", "opt-no-half"]),
            (["--pytorch-no-half", "--pytorch-no-compile"], ["base"]),
        ):
            result = self.bench(
                "--dry-run", "--model-path", self.model, "--framework", "pytorch", *words
            )
            chosen = re.findall(r"^  pytorch-(\S+) ", result.stdout, re.M)
            self.assertEqual(chosen, expected, words)
        result = self.bench(
            "--pytorch-no-half", "--model-path", self.model, "--framework", "native", status=1
        )
        self.assertIn("change pytorch-opt, which is not compared", result.stderr)

    def test_no_fair_comparison(self):
        """Each engine has its own threads and context, and every report says so."""
        home = engine_write(self.root / "unfair", "roomy", ["./worker"])
        manifest = json.loads((home / "engine.json").read_text())
        manifest["variants"][0]["default_context"] = 200
        (home / "engine.json").write_text(json.dumps(manifest))
        (home / "worker").write_text(f"#!/bin/sh\nexec tee requests <&3 | {WORKER} 3<&0\n")
        (home / "worker").chmod(0o755)
        self.environment["PRONY_ENGINE_PATH"] = str(home)
        outputs = [self.root / f"unfair.{kind}" for kind in ("json", "csv", "md")]
        table = self.bench(
            *("--model-path", self.model, "--framework", "roomy", "native-f32", "--quick"),
            *("--no-fair-comparison", "--output", *outputs),
        ).stdout
        requests = [json.loads(line) for line in (home / "requests").read_text().splitlines()]
        load = next(request for request in requests if request["op"] == "load")
        self.assertEqual((load["threads"], load["context"]), (0, 200))
        self.assertIn("no fair comparison", table)
        self.assertIn("This is no fair comparison, as was asked for", " ".join(table.split()))
        document = json.loads(outputs[0].read_text())
        self.assertIs(document["plan"]["fair_comparison"], False)
        self.assertIn("This is no fair comparison", document["notes"][0])
        head, *rows = (line.split(",") for line in outputs[1].read_text().splitlines())
        self.assertEqual([row[head.index("fair_comparison")] for row in rows], ["no", "no"])
        self.assertIn("no fair comparison", outputs[2].read_text())

    def test_usage(self):
        for words, part in (
            (["--model-path", self.model, "--no-fair-comparison", "--threads", "1"], "--threads"),
            (["--model-path", self.model, "--framework", "quik"], "'quick'"),
            ([], "--model-path"),
            (["--model-path", self.model, "--context", "10"], "--context 93"),
            (["--model-path", self.model, "--prompt-tokens", "300"], "256"),
            (["--model-path", self.model, "--quick", "--blocks", "3"], "--quick"),
            (["--model-path", self.model, "--output", "x.pdf"], ".json"),
            (["--model-path", self.model, "--output", "/proc/x.json"], "/proc/x.json"),
        ):
            result = self.bench(*words, status=1)
            self.assertIn(part, result.stderr)
            self.assertEqual(len(re.findall("Error", result.stderr)), 1, result.stderr)


if __name__ == "__main__":
    unittest.main()
