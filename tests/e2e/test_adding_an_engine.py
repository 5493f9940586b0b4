"""The engine that docs/adding-an-engine.md writes works as the page says."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

PRONY = os.environ["PRONY"]
PAGE = pathlib.Path(os.environ["PRONY_SOURCE"]) / "docs/adding-an-engine.md"


class Page(unittest.TestCase):
    def test_the_engine_of_the_page(self):
        page = PAGE.read_text()
        blocks = dict(re.findall(r"^```(json|python)\n(.*?)^```$", page, re.M | re.S))
        with tempfile.TemporaryDirectory() as root:
            folder = pathlib.Path(root) / "parrot"
            folder.mkdir()
            (folder / "engine.json").write_text(blocks["json"])
            (folder / "worker.py").write_text(blocks["python"])
            environment = {**os.environ, "PRONY_ENGINE_PATH": root}

            listed = subprocess.run(
                [PRONY, "engines"], env=environment, capture_output=True, encoding="utf-8"
            )
            self.assertIn("parrot: Says the prompt again and again", listed.stdout)
            checked = subprocess.run(
                [PRONY, "engines", "check", "parrot"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            self.assertEqual(checked.returncode, 0, checked.stdout)
            last = checked.stdout.splitlines()[-1]
            self.assertIn(f"`{last}`", page)


if __name__ == "__main__":
    unittest.main()
