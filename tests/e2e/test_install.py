"""What `make install` installs works from any folder, after it was moved as well."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["PRONY_BUILD"]
SOURCE = pathlib.Path(os.environ["PRONY_SOURCE"])


def output_of(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        environment = {**os.environ, "DESTDIR": str(cls.folder / "root")}
        output_of("cmake", "--install", BUILD, "--prefix", "/opt/prony", env=environment)
        cls.tree = cls.folder / "root/opt/prony"

    def engines(self, tree):
        environment = {k: v for k, v in os.environ.items() if k != "PRONY_ENGINE_PATH"}
        return output_of(tree / "bin/prony", "engines", cwd="/", env=environment)

    def test_everything_is_there(self):
        for path in (
            "bin/prony",
            "include/prony/worker.h",
            "libexec/prony/engines/native/engine.json",
            "libexec/prony/engines/native/worker",
            "libexec/prony/engines/null/worker",
            "libexec/prony/prony-probe-cuda",
            "libexec/prony/engines/sdk/prony_worker.py",
            "share/man/man1/prony.1",
            "share/bash-completion/completions/prony",
        ):
            self.assertTrue((self.tree / path).is_file(), path)
        self.assertEqual(len(list(self.tree.glob("lib*/**/libprony_worker.a"))), 1)

    def test_it_names_no_path_of_the_build(self):
        for path in ("share/man/man1/prony.1", "share/bash-completion/completions/prony"):
            self.assertNotIn(str(SOURCE), (self.tree / path).read_text())

    def test_finds_its_engines(self):
        self.assertIn("native", self.engines(self.tree))

    def test_finds_its_engines_after_a_move(self):
        moved = self.folder / "moved here"
        shutil.copytree(self.tree, moved, symlinks=True)
        self.assertIn(str(moved / "libexec/prony/engines/native"), self.engines(moved))

    def test_finds_its_engines_through_a_link(self):
        link = self.folder / "prony"
        link.symlink_to(self.tree / "bin/prony")
        self.assertIn("native", output_of(link, "engines", cwd="/"))


if __name__ == "__main__":
    unittest.main()
