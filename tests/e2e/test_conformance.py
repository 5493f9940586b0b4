"""`prony engines check` passes honest workers and finds each way to lie, hang or die."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PRONY = os.environ["PRONY"]
SOURCE = pathlib.Path(os.environ["PRONY_SOURCE"])
WORKER = SOURCE / "tests/conformance/worker.py"
THREADS = "computes with as many threads as it is told"

# fault: (what the failed check is called, what its error says)
EXPECTED = {
    "no-hello": ("starts and says hello", "did not say hello within"),
    "exits-early": (
        "starts and says hello",
        "ended when it should say hello: exited with status 0",
    ),
    "wrong-version": ("starts and says hello", "protocol version 2"),
    "no-name": ("starts and says hello", '"engine" is missing|"engine" is null'),
    "no-devices": ("starts and says hello", '"devices"'),
    # By the check of just that, or, when the machine is slow, by the next one.
    "talks-unasked": ("", "nobody asked for|more than was asked for"),
    "exits-at-unknown": ("an unknown request with an error", "exited with status 4"),
    "accepts-unknown": ("an unknown request with an error", "an error is due"),
    "any-model": ("a missing model with an error", "loaded a model that is not there"),
    "bye-status": ("ends by bye", "exited with status 3, where status 0 is due"),
    "ignores-bye": ("ends by bye", "still runs"),
    "ignores-end": ("ends when the host hangs up", "still runs"),
    "hangs-in-load": ("loads a model", "did not load the model within"),
    "vocabulary-0": ("loads a model", '"vocabulary" is 0'),
    "old-phases": ("loads a model", 'the phase "read" of load took place outside'),
    "leaves-child": ("when the host hangs up", "left 1 process behind"),
    "dies": (
        "loads a model",
        r"killed by signal 11 \(Segmentation fault\) .*the device is on fire",
    ),
    "exits-in-generate": ("loads a model", "ended when it should generate: exited with status 0"),
    "closes-pipe": ("loads a model", "closed its pipe when it should generate, and still runs"),
    "garbage": ("loads a model", 'no message: "Loading checkpoint shards: 100%"'),
    "not-utf8": ("loads a model", "no message"),
    "list": ("loads a model", "no message"),
    "half-line": ("loads a model", "did not generate within"),
    "half-line-exit": ("loads a model", "ended when it should generate"),
    "huge-line": ("loads a model", "a line of more than"),
    "wrong-id": ("loads a model", "answered another request"),
    "no-id": ("loads a model", "answered another request"),
    "replies-twice": ("gives the same tokens again", "more than was asked for|another request"),
    "stray-event": ("loads a model", "an event that nobody asked for"),
    "missing-stamp": ("loads a model", "sent 15 stamps for 16 tokens"),
    "unordered-stamps": ("loads a model", "lies before the one that precedes it"),
    "future-stamps": ("loads a model", "after the reply was received"),
    "early-prompt": ("loads a model", "stamped the prompt outside the request's time"),
    "text-stamps": ("loads a model", "stamp 15 is not an integer"),
    "id-outside": ("loads a model", "outside the vocabulary of 512"),
    "negative-id": ("loads a model", "token id -"),
    "too-few": ("loads a model", "sent 15 tokens where 16 were asked for"),
    "too-many": ("loads a model", "sent 17 tokens where 16 were asked for"),
    "random": ("gives the same tokens again", "gave other tokens the second time"),
    "remembers": ("starts every prompt afresh", "after another prompt"),
    "any-context": ("more than its context with an error", "an error is due"),
    "strict-members": ("ignores unknown members", "no"),
    "error-no-message": ("generate without a model", "its error"),
    "memory-0": ("tells its memory", "memory is 0"),
    "memory-peak": ("tells its memory", "peak of host memory is below"),
    "logits-shape": ("gives logits", "logits of 23 x 7"),
    "logits-short": ("gives logits", "bytes of logits where"),
    "logits-nan": ("gives logits", "not finite"),
    "logits-other": ("gives logits", "is not the best"),
    "other-stream": ("streams the same tokens", "other tokens than it streamed"),
    "ignores-stop": ("at a stop id", "whose token 3 is a stop id has 16 tokens"),
    "ignores-cancel": ("a stream that is cancelled", "does not heed a cancellation"),
    "any-seed": ("by the seed", "the same seed gave other tokens"),
    "other-after-load": ("unloads and loads again", "after it was loaded again"),
    "more-threads": (THREADS, r"[12]\.\d threads computed at a time, and it was told 1"),
    "says-more-threads": (THREADS, "it says that it has 3 threads, and was told 1"),
    "fewer-threads": (THREADS, "one thread computed, and it says that it has 2"),
}
# Of workers that say they can quantise and split.
EXPECTED_OF_FORMS = {
    "holds-as-much": ("holds and computes", "4 bytes when quantised to int8, and 4 without"),
    "other-precision": ("loads a model", "asked to quantise to int8, and says it holds float16"),
}
# Those that the host waits for as long as it allows; the others get all the time they want.
HANGS = {"no-hello", "ignores-bye", "ignores-end", "hangs-in-load", "half-line"}

SUPPORTS = {"formats": ["gguf"], "devices": ["cpu"], "logits": True, "sampling": True}


def manifest(name, command, **variant):
    return {
        "name": name,
        "title": name,
        "licence": "MIT",
        "about": "For a test.",
        "command": command,
        "variants": [
            {
                "name": name,
                "title": name,
                "precision": "float32",
                "about": "For a test.",
                "supports": SUPPORTS,
                **variant,
            }
        ],
    }


def check(root, name, *options):
    return subprocess.run(
        [PRONY, "engines", "check", name, *options],
        env={**os.environ, "PRONY_ENGINE_PATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def processes_of(root):
    """Processes that run something from below root."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            folder = os.readlink(path / "cwd")
        except OSError:
            continue
        if folder.startswith(str(root)):
            found.append(path.name)
    return found


class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Made once: what is wrong with a worker here does not depend on the model."""
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.model = pathlib.Path(folder, "tiny.gguf")
        command = [PRONY, "model", "make", "--size", "tiny", "--output", cls.model]
        subprocess.run(command, check=True, capture_output=True)

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = pathlib.Path(self.temporary.name).resolve()

    def install(self, name, command, **variant):
        folder = self.root / name
        folder.mkdir()
        (folder / "engine.json").write_text(json.dumps(manifest(name, command, **variant)))
        return folder

    def install_fault(self, fault):
        self.install(fault, [sys.executable, str(WORKER), fault])

    def test_honest_workers_pass(self):
        for fault in ("honest", "noisy"):
            with self.subTest(fault):
                self.install_fault(fault)
                result = check(self.root, fault)
                self.assertEqual(result.returncode, 0, result.stdout)
                self.assertNotIn("FAIL", result.stdout)

    def test_installed_engines_pass(self):
        for name in ("null", "native"):
            with self.subTest(name):
                result = check(self.root, name)
                self.assertEqual(result.returncode, 0, result.stdout)
        for form in ("native-f16+int8", "native-f16+nf4"):
            self.assertIn(f"ok    {form}: holds and computes what the form says", result.stdout)
        for form in ("native-f32", "native-f16[+]int8", "native-f16[+]nf4"):
            self.assertRegex(result.stdout, f"(ok|--)    {form}[+]shard2: ")

    def install_of_forms(self, fault):
        supports = {**SUPPORTS, "quantize": ["int8"], "shard": ["cpu"]}
        self.install(fault, [sys.executable, str(WORKER), fault], supports=supports)
        return check(self.root, fault, "--model", self.model)

    def test_forms_are_held_against_the_native_engine(self):
        """The honest worker computes sums, which are no model's."""
        result = self.install_of_forms("honest")
        self.assertEqual(result.returncode, 1)
        for form in ("int8", "shard2"):
            failed = rf"FAIL  honest\+{form}: holds and computes what the form says.*\n.*something else: "
            self.assertRegex(result.stdout, failed)
        self.assertEqual(result.stdout.count("FAIL"), 2)
        result = check(self.root, "honest", "--no-forms", "--model", self.model)
        self.assertEqual((result.returncode, "honest+" in result.stdout), (0, False))

    def test_faults_of_forms_are_found(self):
        for fault, (name, message) in EXPECTED_OF_FORMS.items():
            with self.subTest(fault):
                output = self.install_of_forms(fault).stdout
                self.assertRegex(output, rf"FAIL  {fault}\+int8: {name}.*\n.*{message}")

    def test_every_fault_is_found(self):
        for fault in EXPECTED:
            self.install_fault(fault)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {
                fault: pool.submit(
                    check,
                    self.root,
                    fault,
                    "--model",
                    self.model,
                    "--timeout",
                    "5" if fault in HANGS else "120",
                )  # fmt: skip
                for fault in EXPECTED
            }
        for fault, job in jobs.items():
            with self.subTest(fault):
                self.assert_found(fault, job.result())
        self.assertEqual(processes_of(self.root), [])

    def assert_found(self, fault, result):
        name, message = EXPECTED[fault]
        failures = re.findall(r"^FAIL  [^:]+: (.*)\n +(.*)$", result.stdout, re.M)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertTrue(
            any(name in check and re.search(message, text) for check, text in failures),
            f"{name} / {message} is not in:\n{result.stdout}",
        )
        # A worker's bytes must not reach the terminal as they are.
        self.assertNotRegex(result.stdout, r"[\x00-\x09\x0b-\x1f]")

    def test_the_list_of_faults_is_complete(self):
        names = set(re.findall(r'^    "([a-z0-9-]+)": ', WORKER.read_text(), re.M))
        self.assertEqual(names, {*EXPECTED, *EXPECTED_OF_FORMS, "honest", "noisy"})

    def test_options_of_a_variant_are_checked(self):
        null = pathlib.Path(os.environ["PRONY_BUILD"]) / "engines/null/worker"
        self.install("fake", [str(null)], options={"token_us": 10, "vocabulary": 64})
        self.assertEqual(check(self.root, "fake").returncode, 0)
        self.install("typo", [str(null)], options={"tokens_us": 10})
        result = check(self.root, "typo")
        self.assertEqual(result.returncode, 1)
        self.assertIn('has no option "tokens_us"', result.stdout)

    def test_broken_folders_are_named(self):
        null = pathlib.Path(os.environ["PRONY_BUILD"]) / "engines/null/worker"
        folder = self.install("wrong", [str(null)], precision="float8")
        result = check(self.root, "wrong")
        self.assertEqual(result.returncode, 1)
        self.assertIn(f'"precision" is "float8" ({folder}/engine.json, variant 1)', result.stdout)
        self.install("gone", ["./no-such-worker"])
        result = check(self.root, "gone")
        self.assertIn("cannot start './no-such-worker': No such file", result.stdout)
        result = check(self.root, "nul")
        self.assertIn("there is no engine 'nul'. Did you mean 'null'?", result.stdout)


if __name__ == "__main__":
    unittest.main()
