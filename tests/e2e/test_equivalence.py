"""The equivalence gate in whole runs: engines that compute something else, in logits or in decoding
alone. They are the native worker behind a go-between that changes what passes through it."""

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PRONY = os.environ["PRONY"]
NATIVE = Path(os.environ["PRONY_BUILD"]) / "engines/native/worker"

GO_BETWEEN = """
import json, os, subprocess, sys

fault = {}
to_worker, to_host = os.pipe(), os.pipe()
environment = dict(os.environ, PRONY_FD_IN=str(to_worker[0]), PRONY_FD_OUT=str(to_host[1]))
worker = subprocess.Popen(
    [os.environ["NATIVE"]], env=environment, pass_fds=[to_worker[0], to_host[1]]
)
os.close(to_worker[0])
os.close(to_host[1])
requests = os.fdopen(int(os.environ["PRONY_FD_IN"]))
replies = os.fdopen(int(os.environ["PRONY_FD_OUT"]), "w")
down, up = os.fdopen(to_worker[1], "w"), os.fdopen(to_host[0])
for line in requests:
    request = json.loads(line)
    if request["op"] == "load":
        fault = request.pop("options")
        request["variant"] = fault.get("variant", "native-f16")
        request["model"] = fault.get("model", request["model"])
        request["options"] = {}
    if request["op"] == "generate" and fault.get("prompt"):
        request["prompt"] = request["prompt"][:-1] + [fault["prompt"]]
    down.write(json.dumps(request) + "\\n")
    down.flush()
    reply = json.loads(up.readline())
    if request["op"] == "load" and "error" not in reply:
        reply["precision"] = fault.get("precision", "float16")
    if request["op"] == "logits" and fault.get("cut"):
        os.truncate(request["path"], fault["cut"])
    if request["op"] == "logits" and fault.get("nan"):
        with open(request["path"], "r+b") as file:
            file.write(b"\\xff\\xff\\xff\\x7f")
    replies.write(json.dumps(reply) + "\\n")
    replies.flush()
    if request["op"] == "bye":
        break
sys.exit(worker.wait())
"""


class Gate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.root = Path(cls.folder.name)
        cls.model = cls.make("model.gguf", "--layers", 4, "--rope-scaling", "llama3")
        faults = {
            "honest": {},
            "layer": {"model": cls.make("layer.gguf", "--layers", 3, "--rope-scaling", "llama3")},
            "rope": {"model": cls.make("rope.gguf", "--layers", 4, "--rope-scaling", "none")},
            "coarse": {"variant": "native-bf16"},
            "decode": {"prompt": 300},
            "nan": {"nan": True},
            "cut": {"cut": 1000},
            "mute": {},
        }
        home = root / "engines/proxy"
        home.mkdir(parents=True)
        (home / "worker.py").write_text(GO_BETWEEN)
        variants = [
            {
                "name": f"proxy-{name}",
                "title": name,
                "precision": "float16",
                "about": "For a test.",
                "supports": {"formats": ["gguf"], "devices": ["cpu"], "logits": name != "mute"},
                "options": {
                    key: str(value) if key == "model" else value for key, value in options.items()
                },
            }
            for name, options in faults.items()
        ]
        manifest = {
            "name": "proxy",
            "title": "Proxy",
            "licence": "MIT",
            "about": "For a test.",
            "command": ["python3", "worker.py"],
            "hidden": True,
            "variants": variants,
        }
        (home / "engine.json").write_text(json.dumps(manifest))

    @classmethod
    def make(cls, name, *words):
        path = cls.root / name
        subprocess.run(
            [PRONY, "model", "make", "--output", path, *map(str, words)],
            check=True,
            capture_output=True,
        )
        return path

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def prony(self, *words, status=0):
        environment = dict(
            os.environ,
            NATIVE=str(NATIVE),
            PRONY_STORE=str(self.root / f"{self.id().rsplit('.', 1)[-1]}.db"),
            PRONY_CACHE=str(self.root / "cache"),
            PRONY_ENGINE_PATH=str(self.root / "engines"),
            TMPDIR=str(self.root),
        )
        result = subprocess.run(
            [PRONY, *map(str, words)],
            env=environment,
            text=True,
            capture_output=True,
            timeout=600,
            check=False,
        )
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        return result

    def bench(self, *words, status=0):
        output = self.root / "run.json"
        result = self.prony(
            "bench", "--model-path", self.model, "--quick", "--output", output, *words,
            status=status,
        )  # fmt: skip
        return result, json.loads(output.read_text())

    def test_faults_are_caught(self):
        result, document = self.bench("--framework", "native-f32", "native-bf16", "proxy")
        results = {row["framework"]: row for row in document["results"]}
        found = {name: row["equivalence"]["verdict"] for name, row in results.items()}
        self.assertEqual(
            found,
            {
                "native-f32": "equivalent",
                "native-bf16": "equivalent",
                "proxy-honest": "equivalent",
                "proxy-layer": "not equivalent",
                "proxy-rope": "not equivalent",
                "proxy-coarse": "not equivalent",
                "proxy-decode": "not equivalent",
                "proxy-nan": "not equivalent",
                "proxy-cut": "not gated",
                "proxy-mute": "not gated",
            },
        )
        reasons = {name: row["equivalence"]["reason"] for name, row in results.items()}
        self.assertIsNone(reasons["proxy-honest"])
        self.assertIn("though its logits are right", reasons["proxy-decode"])
        self.assertIn("1 of 128 positions are not finite", reasons["proxy-nan"])
        self.assertIn("1000 bytes of logits", reasons["proxy-cut"])
        self.assertIn("gives no logits", reasons["proxy-mute"])
        # The reference against itself, and ids that are the reference's own.
        own = results["native-f32"]["equivalence"]
        self.assertEqual((own["kl_mean"], own["error_most"], own["greedy_margin"]), (0, 0, 0))
        self.assertEqual((own["agreeing"], own["first_divergence"]), (128, None))
        self.assertIn(own["greedy_ids"], (29, 58, 87))  # a disturbed block is done again
        # Shown, but in no comparison and no ratio.
        self.assertIsNotNone(results["proxy-layer"]["avg_token_time"])
        compared = {side for pair in document["comparisons"] for side in (pair["a"], pair["b"])}
        self.assertLessEqual({"native-f32", "proxy-honest", "proxy-mute"}, compared)
        self.assertFalse(
            {name for name, verdict in found.items() if verdict == "not equivalent"} & compared
        )
        for text in ("NOT EQUIVALENT", "not gated", "Equivalence"):
            self.assertIn(text, result.stdout)
        self.assertIn("equivalence  proxy-layer", result.stderr)
        self.assertEqual(list(self.root.glob("prony-logits-*")), [])
        # Another report of the stored run says the same.
        again = self.prony("report", "--wide").stdout
        self.assertIn("Top-1 Agreement", again)
        self.assertIn("proxy-decode is NOT EQUIVALENT", " ".join(again.split()))

    def test_nothing_equivalent(self):
        self.bench("--framework", "proxy-layer", "proxy-honest")
        gate = self.prony("gate", "proxy-honest", "proxy-layer", status=5)
        self.assertIn("NOT EQUIVALENT", gate.stdout)
        self.bench("--framework", "proxy-layer", "proxy-decode", status=5)

    def test_said_beforehand(self):
        text = self.prony(
            "bench", "--model-path", self.model, "--dry-run", "--framework", "proxy"
        ).stdout
        self.assertIn("Gate      128 positions of text", text)
        self.assertIn("not gated, since their engines give no logits: proxy-mute\n", text)

    def test_context(self):
        _, document = self.bench("--framework", "native-f16", "--gate-context", 200)
        self.assertEqual(document["results"][0]["equivalence"]["positions"], 200)
        result = self.prony("bench", "--model-path", self.model, "--gate-context", 100000, status=1)
        self.assertIn("Use a smaller --gate-context", result.stderr)

    def test_no_room(self):
        """The matrices have nowhere to go: the run is made, and says that nothing was gated."""
        environment = dict(
            os.environ,
            PRONY_STORE=str(self.root / "room.db"),
            PRONY_CACHE=str(self.root / "cache"),
            TMPDIR=str(self.root / "missing"),
        )
        result = subprocess.run(
            [PRONY, "bench", "--model-path", self.model, "--quick", "--framework", "native-f16"],
            env=environment, text=True, capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        self.assertEqual(result.returncode, 1)
        self.assertIn("TMPDIR", result.stderr)


if __name__ == "__main__":
    unittest.main()
