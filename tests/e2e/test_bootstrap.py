"""scripts/bootstrap on made-up machines: a PATH with a few commands, and an apt-get that notes."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["PRONY_SOURCE"])
BOOTSTRAP = SOURCE / "scripts/bootstrap"
BUILD_TOOLS = ("sh", "cat", "cc", "g++", "cmake", "ninja", "pkg-config", "python3")


class Bootstrap(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = self.folder / "log"
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name in BUILD_TOOLS:
            self.link(name)
        self.command("id", "echo 0")
        self.command("apt-get", f'echo "$*" >>{self.log}')

    def link(self, name):
        (self.bin / name).symlink_to(shutil.which(name))

    def command(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def bootstrap(self, purpose):
        return subprocess.run(
            [BOOTSTRAP, purpose], env={"PATH": str(self.bin)}, capture_output=True, text=True
        )

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def test_nothing_is_missing(self):
        run = self.bootstrap("build")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""))
        self.assertEqual(self.calls(), [])

    def test_names_what_is_missing_and_installs_it(self):
        (self.bin / "ninja").unlink()
        run = self.bootstrap("build")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("ninja-build: runs the build", run.stderr)
        self.assertEqual(self.calls(), ["install --yes --no-install-recommends ninja-build"])

    def test_fetches_the_lists_only_when_installing_fails(self):
        (self.bin / "ninja").unlink()
        updated = self.folder / "updated"
        self.command(
            "apt-get",
            f'echo "$1" >>{self.log}\n[ "$1" = update ] && : >{updated}\n[ -e {updated} ]',
        )
        self.assertEqual(self.bootstrap("build").returncode, 0)
        self.assertEqual(self.calls(), ["install", "update", "install"])

    def test_says_so_when_nothing_helps(self):
        (self.bin / "ninja").unlink()
        self.command("apt-get", "exit 100")
        run = self.bootstrap("build")
        self.assertEqual(run.returncode, 1)
        self.assertIn("Error: the packages could not be installed", run.stderr)

    def test_uses_sudo_when_not_root(self):
        (self.bin / "ninja").unlink()
        self.command("id", "echo 1000")
        self.command("sudo", f'echo "sudo $*" >>{self.log}')
        self.assertEqual(self.bootstrap("build").returncode, 0)
        self.assertEqual(
            self.calls(), ["sudo apt-get install --yes --no-install-recommends ninja-build"]
        )

    def test_prints_the_command_when_it_may_not_run_it(self):
        (self.bin / "ninja").unlink()
        self.command("id", "echo 1000")
        run = self.bootstrap("build")
        self.assertEqual(run.returncode, 1)
        self.assertIn("Run as root: apt-get install --yes", run.stderr)
        self.assertEqual(self.calls(), [])

    def test_names_the_libraries_where_there_is_no_apt(self):
        (self.bin / "pkg-config").unlink()
        (self.bin / "apt-get").unlink()
        run = self.bootstrap("build")
        self.assertEqual(run.returncode, 1)
        for name in ("pkg-config", "libjansson-dev", "libsqlite3-dev", "libpcre2-dev"):
            self.assertIn(f"  {name}: ", run.stderr)
        self.assertIn("no apt-get", run.stderr)

    def test_a_purpose_needs_its_own_and_those_of_the_build(self):
        (self.bin / "ninja").unlink()
        self.assertEqual(self.bootstrap("fuzz").returncode, 0)
        self.assertIn("ninja-build", self.calls()[0])
        self.assertIn("clang libclang-rt-14-dev", self.calls()[0])

    def test_refuses_an_unknown_purpose(self):
        run = self.bootstrap("everything")
        self.assertEqual(run.returncode, 1)
        self.assertIn("Usage:", run.stderr)


if __name__ == "__main__":
    unittest.main()
