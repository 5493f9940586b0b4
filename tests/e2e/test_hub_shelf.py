"""prony model list and rm: what was fetched from a hub, and what a cut left."""

import fcntl
import subprocess
import unittest

from hub_case import BODY, PRONY, REPO, Get


class Shelf(Get):
    def prony(self, *arguments, status=0):
        command = [PRONY, "model", *arguments]
        result = subprocess.run(command, env=self.environment(), capture_output=True, text=True)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stdout + result.stderr

    def test_list_and_rm(self):
        self.assertIn("no models yet", self.prony("list"))
        self.good(self.get())
        self.assertIn(f"{REPO}  1 file, 0.3 MB\n", self.prony("list"))
        self.assertIn("0.3 MB are free", self.prony("rm", REPO))
        self.assertIn("no models yet", self.prony("list"))
        self.assertFalse(self.place.parent.exists())
        self.assertIn("nothing of", self.prony("rm", REPO, status=1))

    def test_rm_of_one_file_leaves_the_others(self):
        self.hub.files = {"model.gguf": BODY, "sub/model.gguf": BODY, "model.gguf2": BODY}
        for name in self.hub.files:
            self.get(name=f"{REPO}:{name}")
        self.prony("rm", f"{REPO}:sub/model.gguf")
        self.prony("rm", f"{REPO}:model.gguf")
        self.assertIn(f"{REPO}  1 file,", self.prony("list"))
        self.assertTrue((self.place.parent / "model.gguf2").exists())

    def test_rm_of_a_part_removes_all_of_them(self):
        parts = [f"m-0000{i}-of-00002.gguf" for i in (1, 2)]
        self.hub.files = {**dict.fromkeys(parts, BODY), "m-00001-of-00003.gguf2": BODY}
        for name in (parts[0], "m-00001-of-00003.gguf2"):
            self.assertEqual(self.get(name=f"{REPO}:{name}").returncode, 0)
        self.assertIn("0.6 MB are free", self.prony("rm", f"{REPO}:{parts[1]}"))
        self.assertIn(f"{REPO}  1 file,", self.prony("list"))

    def test_what_a_cut_left(self):
        self.cut_at(100_000)
        self.bad(self.get("--retries", "0"))
        self.assertIn("0.1 MB of 1 that was cut", self.prony("list"))
        self.assertIn("0.1 MB are free", self.prony("rm", f"{REPO}:model.gguf"))
        self.assertEqual(self.parts(), [])

    def test_rm_follows_no_link(self):
        self.good(self.get())
        outside = self.cache / "outside"
        outside.mkdir()
        (outside / "file").write_text("x")
        (self.place.parent / "link").symlink_to(outside)
        self.prony("rm", REPO)
        self.assertTrue((outside / "file").exists())

    def test_rm_waits_for_nobody(self):
        self.good(self.get())
        with open(self.place.parent / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertIn("another process", self.prony("rm", REPO, status=1))
        self.assertTrue(self.place.exists())

    def test_names_that_lead_out(self):
        for name in ("..", "../..", "a/..", f"{REPO}:../x"):
            self.prony("rm", name, status=1)


if __name__ == "__main__":
    unittest.main()
