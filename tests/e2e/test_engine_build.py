"""prony engines install for an engine that is built: its script, what it needs, and what can go
wrong. The engine here is built in milliseconds."""

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from test_engine_install import processes_of

PRONY = os.environ["PRONY"]

WORKER = """
import os
import sys
from pathlib import Path

from prony_worker import Engine, Failure, serve

NUMBER, MAKER = Path(sys.argv[1], "number").read_text().split()


class Demo(Engine):
    name = "demo"
    version = MAKER

    def load(self, request):
        if not os.path.exists(request.model):
            raise Failure("not_found", f"there is no model at {request.model}")
        return {"vocabulary": 512, "weight_bytes": 0, "kv_token_bytes": 0}

    def generate(self, prompt, sampling):
        if sampling.temperature > 0:
            raise Failure("unsupported", "this engine does not sample")
        while True:
            yield int(NUMBER)


if __name__ == "__main__":
    serve(Demo())
"""

SCRIPT = """#!/bin/sh
set -eu
here=$(dirname "$0")
if [ "$1" = find ]; then
    [ -z "${DEMO_OWN:-}" ] || echo "own: $DEMO_OWN"
    exit 0
fi
[ "$(ls -A . "$PRONY_BUILD_TO" | grep -c number)" = 0 ]
if [ -n "$PRONY_BUILD_OWN" ]; then
    [ -r "$PRONY_BUILD_OWN/number" ] || {
        echo "error: there is no number in $PRONY_BUILD_OWN"
        exit 1
    }
    echo "$(cat "$PRONY_BUILD_OWN/number") own" > "$PRONY_BUILD_TO/number"
    exit 0
fi
if [ ! -e "$PRONY_BUILD_DOWNLOADS/source" ]; then
    echo "==> Downloading the number"
    [ -r "$DEMO_NETWORK/number" ] || { echo "error: dial tcp: unreachable"; exit 1; }
    echo fetched >> "$DEMO_NETWORK/log"
    cp "$DEMO_NETWORK/number" "$PRONY_BUILD_DOWNLOADS/source"
fi
echo "==> Compiling with $PRONY_BUILD_THREADS"
cp "$PRONY_BUILD_DOWNLOADS/source" "$PRONY_BUILD_TO/half"
echo "[ 50%] half of it"
eval "${DEMO_HOOK:-true}"
mv "$PRONY_BUILD_TO/half" "$PRONY_BUILD_TO/number"
echo "$PRONY_BUILD_VERSION" >> "$PRONY_BUILD_TO/number"
[ ! -e "$PRONY_BUILD_OLD/number" ] || echo "built after $(head -1 "$PRONY_BUILD_OLD/number")"
"""


class BuildTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.cache, self.network = self.root / "cache", self.root / "network"
        self.home = self.root / "engines/demo"
        self.home.mkdir(parents=True)
        self.network.mkdir()
        (self.network / "number").write_text("7\n")
        self.manifest()
        (self.home / "worker.py").write_text(WORKER)
        (self.home / "make").write_text(SCRIPT)
        (self.home / "make").chmod(0o755)
        self.environment = {
            **os.environ,
            "PRONY_CACHE": str(self.cache),
            "PRONY_ENGINE_PATH": str(self.root / "engines"),
            "DEMO_NETWORK": str(self.network),
        }

    def manifest(self, programs=(), **sizes):
        sizes = {
            "download_mb": 2,
            "disk_mb": 3,
            "build_mb": 5,
            "build_minutes": 40,
            **sizes,
        }
        manifest = {
            "name": "demo",
            "title": "Demo",
            "licence": "MIT",
            "about": "For a test.",
            "command": ["python3", "worker.py", "{built}"],
            "install": {
                "build": ["make"],
                "versions": [{"version": version, **sizes} for version in ("2.0", "1.0")],
                "programs": list(programs),
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
        (self.home / "engine.json").write_text(json.dumps(manifest))

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
        self.assertEqual(processes_of(str(self.root)), [], "a process was left")
        return result

    def install(self, *words, **more):
        return self.prony("engines", "install", *(words or ["demo"]), **more).stderr

    def expect_works(self, name, version):
        self.assertIn("checks passed", self.prony("engines", "check", name).stdout)
        self.assertIn(f"works: demo {version}", self.prony("engines", "doctor", name).stdout)

    def expect_not_installed(self):
        self.assertEqual(list(self.cache.rglob("ready.json")), [])
        self.assertEqual(list(self.cache.rglob("built-*")), [])
        self.assertEqual(list(self.cache.rglob("work")), [])
        result = self.prony("engines", "check", "demo", status=1)
        self.assertIn("demo is not installed. Run: prony engines install demo", result.stdout)

    def fetched(self):
        log = self.network / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0


class Whole(BuildTest):
    def test_from_nothing_to_nothing(self):
        self.expect_not_installed()
        report = self.prony("engines", "doctor", "demo", status=1).stdout
        self.assertIn(
            "it is built: 2 MB to download, 8 MB on disk meanwhile, about 40 minutes", report
        )
        told = self.install("demo", "--threads", "4")
        self.assertIn("demo 2.0: 2 MB to download, 5 MB on disk while it is built, 3 MB", told)
        self.assertIn("compiled for this processor, by 4 threads: about 10 minutes.", told)
        self.assertIn("It works: demo 2.0", told)
        self.assertEqual(list(self.cache.rglob("downloads")), [])
        self.assertEqual(list(self.cache.rglob("work")), [])
        self.expect_works("demo", "2.0")

        # Again, without its network; then a version that needs one.
        (self.network / "number").rename(self.network / "away")
        self.assertIn("is there already, and works", self.install())
        self.assertIn("the network failed", self.install("demo@1.0", status=1))
        (self.network / "away").rename(self.network / "number")
        self.install("demo@1.0")
        self.expect_works("demo@1.0", "1.0")
        self.expect_works("demo", "2.0")

        # Another recipe: it is built again, and may use what was there.
        (self.home / "make").write_text(SCRIPT + "# changed\n")
        report = self.prony("engines", "doctor", "demo@2.0", status=1).stdout
        self.assertRegex(report, "from other files than.*Run: prony engines install demo@2.0\n")
        (self.network / "number").write_text("9\n")
        self.assertIn("It was built in another way; building it anew.", self.install())
        self.assertIn("built after 7", next(self.cache.rglob("2.0/install.log")).read_text())
        self.install("demo@1.0")
        self.expect_works("demo", "2.0")

        # What was built is damaged.
        next(self.cache.rglob("2.0/built-*/number")).unlink()
        report = self.prony("engines", "doctor", "demo@2.0", status=1).stdout
        self.assertRegex(report, "does not work: demo@2.0.*Run: prony engines install demo@2.0")
        self.assertIn("does not work, and is built anew", self.install())
        self.expect_works("demo", "2.0")

        self.prony("engines", "uninstall", "demo@2.0")
        self.expect_works("demo", "1.0")
        self.prony("engines", "uninstall", "demo")
        self.expect_not_installed()

    def test_progress_goes_on_while_it_builds(self):
        told = self.install(DEMO_HOOK="sleep 1")
        self.assertRegex(told, r"demo: Compiling with \d+, 50 %\n")

    def test_a_build_of_the_user(self):
        own = self.root / "own"
        own.mkdir()
        failed = self.install("demo", "--own", own, status=1)
        self.assertIn(f"error: there is no number in {own}", failed)
        self.expect_not_installed()
        (own / "number").write_text("5\n")
        # Its build may need less than one from the network.
        program = {"program": "no-such-fetcher", "package": "p", "reason": "r", "build": True}
        self.manifest([program])
        self.assertIn(
            "no-such-fetcher is missing", self.install("demo@mine", "--own", own, status=1)
        )
        self.manifest([{**program, "own": False}])
        self.assertIn("no-such-fetcher is missing", self.install("demo@2.0", status=1))
        self.install("demo@mine", "--own", own)
        self.expect_works("demo@mine", "own")
        self.assertIn(f"stands on {own}", self.prony("engines", "doctor", "demo@mine").stdout)

        (self.home / "make").write_text(SCRIPT + "# changed\n")
        report = self.prony("engines", "doctor", "demo@mine", status=1).stdout
        self.assertIn(f"Run: prony engines install demo@mine --own {own}\n", report)
        self.install("demo@mine", "--own", own)
        self.expect_works("demo@mine", "own")

        # One that its script finds, unless a version is named.
        self.manifest()
        self.assertIn(f"Taking the build of yours in {own}", self.install(DEMO_OWN=str(own)))
        self.expect_works("demo@user", "own")
        self.expect_works("demo", "own")
        self.install("demo@2.0", DEMO_OWN=str(own))
        self.expect_works("demo@2.0", "2.0")
        self.assertEqual(sorted(own.iterdir()), [own / "number"])

        told = self.install("demo", "--python", "/usr/bin/python3", status=1)
        self.assertIn("demo is not a Python library", told)
        told = self.install("tinygrad", "--own", own, status=1)
        self.assertIn("tinygrad is not built", told)


class Faults(BuildTest):
    def test_what_goes_wrong_on_the_way(self):
        program = {"program": "no-such-compiler", "package": "compilers", "reason": "compiles"}
        self.manifest([{**program, "build": True}])
        told = self.install(status=1)
        self.assertIn("demo cannot be built: no-such-compiler is missing", told)
        self.assertIn("Run: apt-get install compilers", told)
        self.assertEqual(self.fetched(), 0)
        report = self.prony("engines", "doctor", "demo", status=1).stdout
        self.assertIn("no-such-compiler is missing: compiles", report)
        self.expect_not_installed()

        self.manifest(build_mb=999999)
        self.assertIn("needs 1000.00 GB of disk", self.install(status=1))
        self.manifest()

        told = self.install(status=1, DEMO_HOOK="no-such-command")
        self.assertIn("cannot build demo 2.0: its script failed", told)
        self.assertRegex(told, r"no-such-command.*log: \S+/install.log")
        self.expect_not_installed()
        # What had been fetched is not fetched again.
        (self.network / "number").unlink()
        told = self.install(status=1, DEMO_HOOK="echo error: No space left on device; false")
        self.assertIn("cannot build demo 2.0: the disk is full", told)
        self.assertEqual(self.fetched(), 1)

        # It builds something that does not work.
        (self.home / "make").write_text(SCRIPT + 'echo "x" > "$PRONY_BUILD_TO/number"\n')
        self.assertRegex(self.install(status=1), "Error: demo: the worker ended")
        self.expect_not_installed()
        (self.home / "make").write_text(SCRIPT)
        (self.home / "make").chmod(0o644)
        self.assertRegex(self.install(status=1), "cannot (start|run) .*make")
        (self.home / "make").chmod(0o755)
        self.expect_not_installed()
        self.install()
        self.expect_works("demo", "2.0")
        self.assertEqual(self.fetched(), 1)

    def killed(self, sign, expected):
        process = subprocess.Popen(
            [PRONY, "engines", "install", "demo"],
            env={**self.environment, "DEMO_HOOK": "sleep 300"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not list(self.cache.rglob("half")) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertNotEqual(list(self.cache.rglob("half")), [])
        process.send_signal(sign)
        self.assertEqual(process.wait(60), expected)
        deadline = time.monotonic() + 10
        while processes_of(str(self.root)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(processes_of(str(self.root)), [])
        self.assertEqual(list(self.cache.rglob("ready.json")), [])

    def test_it_is_killed(self):
        self.killed(signal.SIGINT, 130)
        self.expect_not_installed()
        self.killed(signal.SIGKILL, -signal.SIGKILL)
        report = self.prony("engines", "doctor", "demo", status=1).stdout
        self.assertIn("was begun and not finished. Run: prony engines install demo@2.0", report)
        self.install()
        self.expect_works("demo", "2.0")
        self.assertEqual(self.fetched(), 1)


if __name__ == "__main__":
    unittest.main()
