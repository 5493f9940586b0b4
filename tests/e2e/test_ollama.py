"""The Ollama engine against tests/fake/ollama.py: what goes in and comes out, and every way to fail."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from worker_host import Host

PRONY = os.environ["PRONY"]
SOURCE = pathlib.Path(os.environ["PRONY_SOURCE"])
ENGINE = pathlib.Path(os.environ["PRONY_BUILD"], "engines/ollama")
FAKE = SOURCE / "tests/fake/ollama.py"
# What its row says, by the fault.
FAULTS = {
    "killed": "Ollama's server was killed by signal 9 (SIGKILL) when it should generate",
    "slow": "Ollama's server said nothing for 2 s when it should generate",
    "junk": "Ollama's server sent what is no answer",
    "error": "Ollama says: model runner has unexpectedly stopped",
    "broken-off": "Ollama broke off its answer without a word",
    "ends": "Ollama ended the text after 3 of 9 tokens",
    "dropped": "Ollama counts 9 tokens in an answer whose text is 8",
    "more": "Ollama sent more than the 9 tokens it was asked for",
    "prompt": "Ollama makes 65 ids of the text of the prompt's 64",
    "quantized": "Ollama says that it holds the model as Q4_0, with tensors in F16, F32, Q4_0",
    "gpu": "Ollama holds 500 of the model's 1000 bytes on a GPU, and was to use cpu",
    "full": "no space left on device. Free some, or set TMPDIR to a folder on another disk",
    "port": "started 3 times on ports that were free, ended with status 1 (Error: listen tcp 127.0.0.1",
    "old": "is version 0.6.5, and 0.11.4 is the oldest",
    "no-version": "is of a version that it does not tell, and 0.11.4 is the oldest",
}
# What its worker says of probabilities, by the fault.
TOLD_FAULTS = {
    "missing": "Ollama told probabilities of no token, or of several",
    "several": "Ollama told probabilities of no token, or of several",
    "few": "Ollama told the probabilities of 19 tokens where 20 were asked for",
    "nan": "Ollama told the logarithm of a probability to be nan",
    "positive": "Ollama told the logarithm of a probability to be 0.5",
    "stranger": "Ollama names a token 'no such token', which the model does not have",
    "twice": "Ollama told the probability of a token twice",
}


class Ollama(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.root = pathlib.Path(cls.temporary.name).resolve()
        for name in ("bin", "tmp", "home", "engines"):
            (cls.root / name).mkdir()
        (cls.root / "bin/ollama").symlink_to(FAKE)
        cls.record = cls.root / "record"
        # Its own copy, which is less patient.
        engine = shutil.copytree(ENGINE, cls.root / "engines/ollama")
        manifest = json.loads((engine / "engine.json").read_text())
        manifest["variants"][0]["options"]["silence_s"] = 2
        (engine / "engine.json").write_text(json.dumps(manifest))
        cls.environment = {
            **os.environ,
            "PATH": f"{cls.root / 'bin'}:{os.environ['PATH']}",
            "TMPDIR": str(cls.root / "tmp"),
            "HOME": str(cls.root / "home"),
            "OLLAMA_HOST": "192.0.2.1:11434",  # the user's own, which nobody may touch
            "OLLAMA_MODELS": "/no/such/folder",
            "OLLAMA_FLASH_ATTENTION": "1",
            "PRONY_ENGINE_PATH": str(cls.root / "engines"),
            "PRONY_CACHE": str(cls.root / "cache"),
            "PRONY_STORE": str(cls.root / "store"),
            "FAKE_OLLAMA_RECORD": str(cls.record),
        }
        cls.model = cls.root / "model.gguf"
        subprocess.run(
            [PRONY, "model", "make", "--size", "tiny", "--vocabulary", "8192", "--output", cls.model],
            check=True, capture_output=True,
        )  # fmt: skip
        done = cls.prony("engines", "install", "ollama")
        assert done.returncode == 0, done.stdout

    @classmethod
    def prony(cls, *arguments, fault="", **environment):
        return subprocess.run(
            [PRONY, *map(str, arguments)],
            env={**cls.environment, "FAKE_OLLAMA": fault, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
        )

    def bench(self, fault, *more):
        """The output on one line, and Ollama's result."""
        output = self.root / "out.json"
        done = self.prony(
            "bench", "--framework", "native-f16", "ollama", "--model-path", self.model,
            "--blocks", "1", "--no-redo", "--iterations", "5", "--output", output, *more,
            fault=fault,
        )  # fmt: skip
        results = json.loads(output.read_text())["results"]
        (result,) = [each for each in results if each["framework"] == "ollama"]
        return " ".join(done.stdout.split()), result

    def setUp(self):
        self.record.unlink(missing_ok=True)

    def tearDown(self):
        """Nothing runs any more, and nothing is left on the disk."""
        self.assertEqual(self.running(), [])
        self.assertEqual(list((self.root / "tmp").iterdir()), [])
        self.assertEqual(list((self.root / "home").iterdir()), [])

    def running(self):
        """Whoever was started with our TMPDIR."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.root / "tmp").encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_text())
            except OSError:
                pass  # not ours, or gone
        return found

    def requests(self):
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def test_keeps_to_the_protocol(self):
        for told in ("", "logprobs"):
            with self.subTest(told):
                done = self.prony("engines", "check", "ollama", "--model", self.model, fault=told)
                self.assertEqual(done.returncode, 0, done.stdout)
                # Whether its threads can be counted depends on how long a made-up token takes.
                passed = re.findall(
                    r"^ok    ollama: (?!computes with)(.*)", done.stdout, re.MULTILINE
                )
                self.assertEqual(len(passed), 27, done.stdout)

    def test_probabilities_that_are_not_those_of_its_ids(self):
        done = self.prony(
            "engines", "check", "ollama", "--model", self.model, fault="logprobs-swapped"
        )
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, "FAIL +ollama: gives logits")
        self.assertIn("by its own logits, the token", done.stdout)

    def test_each_fault_is_a_failed_row_with_its_reason(self):
        for fault, reason in FAULTS.items():
            with self.subTest(fault):
                text, result = self.bench(fault)
                self.assertIn("ollama FAILED: ", text)
                self.assertIn(reason, text)
                self.assertIsNone(result["avg_token_time"])
                self.tearDown()

    def test_what_its_server_started_ends_with_it(self):
        self.bench("orphan")  # tearDown looks

    def test_a_killed_host_leaves_nothing(self):
        for signal_number in (signal.SIGKILL, signal.SIGTERM):
            host = subprocess.Popen(
                [PRONY, "engines", "run", "ollama", "--model", self.model],
                env={**self.environment, "FAKE_OLLAMA": "slow"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while '"num_predict"' not in (self.record.read_text() if self.record.exists() else ""):
                time.sleep(0.01)
            host.send_signal(signal_number)
            host.wait()
            while self.running() or list((self.root / "tmp").iterdir()):
                time.sleep(0.01)  # the guard does it; ctest's time limit is the only one
            self.record.unlink()

    def test_the_users_own_server_models_and_settings_have_no_part_in_it(self):
        self.bench("")
        for request in self.requests():
            environment = request["env"]
            ours = {name for name in environment if name.startswith("OLLAMA_")}
            self.assertNotIn("OLLAMA_FLASH_ATTENTION", ours)
            self.assertRegex(environment["OLLAMA_HOST"], r"^127\.0\.0\.1:\d+$")
            self.assertTrue(environment["OLLAMA_MODELS"].startswith(environment["HOME"]))
            self.assertTrue(environment["HOME"].startswith(str(self.root / "tmp")))

    def test_no_prompt_follows_itself(self):
        self.bench("")
        prompts = [
            request["body"]["prompt"]
            for request in self.requests()
            if request["path"] == "/api/generate" and request["body"]["prompt"]
        ]
        self.assertGreater(len(prompts), 5)
        for one, next_one in zip(prompts, prompts[1:]):
            self.assertNotEqual(one[0], next_one[0])

    def test_threads_context_and_greedy_decoding_are_asked_for(self):
        self.bench("", "--threads", "1", "--context", "200")
        asked = [each["body"] for each in self.requests() if each["path"] == "/api/generate"]
        for body in asked:
            options = body["options"]
            self.assertEqual((options["num_thread"], options["num_gpu"]), (1, 0))
        timed = [body["options"] for body in asked if body.get("raw") and "stream" not in body]
        self.assertTrue(timed)
        for options in timed:
            self.assertEqual((options["temperature"], options["repeat_penalty"]), (0, 1))
            self.assertEqual((options["num_ctx"], options["stop"]), (200, []))

    def test_answers_questions_with_what_was_asked_of_the_sampler(self):
        done = self.prony(
            "--framework", "ollama", "--model", self.model, "--prompt", "hi", "--max-tokens", "8",
            "--temperature", "0.7", "--top-k", "5", "--top-p", "0.9", "--min-p", "0.1", "--seed", "3",
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "[a-z ]{8}")
        options = [each["body"]["options"] for each in self.requests() if "raw" in each["body"]][0]
        chosen = {key: options[key] for key in ("temperature", "top_k", "top_p", "min_p", "seed")}
        self.assertEqual(
            chosen, {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.1, "seed": 3}
        )

    def test_equivalence_goes_by_the_ids_alone(self):
        text, result = self.bench("honest")
        self.assertIn("ollama equivalent by its ids alone: of 14, the worst", text)
        self.assertIn("Ollama (by 14 generated ids alone)", text)
        self.assertIn("ollama gives no logits: it was held against the reference by 14 ids", text)
        found = result["equivalence"]
        self.assertEqual(found["verdict"], "equivalent")
        self.assertEqual((found["positions"], found["greedy_ids"]), (0, 14))
        self.assertNotIn("kl_mean", found)

    def test_text_of_another_model_is_not_equivalent(self):
        text, result = self.bench("")
        self.assertEqual(result["equivalence"]["verdict"], "not equivalent")
        self.assertIn("the reference puts", result["equivalence"]["reason"])
        self.assertNotIn("though its logits are right", text)

    def test_equivalence_goes_by_probabilities_where_it_tells_them(self):
        text, result = self.bench("logprobs")
        found = result["equivalence"]
        self.assertEqual(found["verdict"], "equivalent", text)
        self.assertEqual((found["judged_by"], found["ids_told"]), ("probabilities", 20))
        self.assertGreater(found["positions"], 40)
        self.assertEqual(found["agreeing"], found["positions"])
        self.assertLess(found["kl_mean"], found["kl_bound"])
        self.assertEqual(found["greedy_ids"], 14)
        least = f"by 20 ids at {found['positions']} positions at least"
        self.assertIn(f"ollama equivalent: mean KL {least}", text)
        self.assertIn(f"Ollama (mean KL {least}", text)
        self.assertIn("by the probabilities of its best 20 ids at each of", text)

    def test_probabilities_that_leave_the_best_id_the_best_are_caught(self):
        for fault in ("warm", "shuffled"):
            with self.subTest(fault):
                text, result = self.bench(f"logprobs-{fault}")
                found = result["equivalence"]
                self.assertEqual(found["verdict"], "not equivalent", text)
                self.assertIn(
                    "its mean KL divergence from the float32 reference is by 20 ids", text
                )
                self.assertEqual(found["agreeing"], found["positions"])
                self.assertLess(found["greedy_margin"], 1e-9)  # its ids are those of the reference

    def test_probabilities_of_other_ids_than_were_asked_for_are_none(self):
        text, result = self.bench("logprobs-prompt")
        self.assertEqual(result["equivalence"]["verdict"], "not gated")
        self.assertIn("it tells probabilities at none of 128 positions", text)

    def test_probabilities_that_are_none(self):
        for fault, reason in TOLD_FAULTS.items():
            with self.subTest(fault):
                host = self.worker(f"logprobs-{fault}")
                self.load(host)
                reply = host.ask("logits", ids=self.words(), path=str(self.root / "scratch/x"))
                self.assertIn(reason, reply["error"]["message"])
                self.assertEqual(reply["error"]["code"], "failed")
                host.ask("bye")
                host.close()
                self.doCleanups()

    def test_probabilities_are_not_asked_for_where_it_is_timed(self):
        self.bench("logprobs")
        asked = [each["body"] for each in self.requests() if each["path"] == "/api/generate"]
        self.assertTrue(any("logprobs" in body for body in asked))
        for body in asked:
            self.assertEqual("logprobs" in body, body.get("top_logprobs") == 20)
            self.assertFalse("logprobs" in body and body["options"]["num_predict"] != 1)

    @classmethod
    def words(cls):
        """Ids of a text of some words."""
        text = "The cat sat on the mat, and so on"
        told = cls.prony("model", "tokenize", cls.model, "--bos", "--json", "--text", text)
        return json.loads(told.stdout)["ids"]

    def worker(self, fault):
        """A host of the worker alone."""
        scratch = self.root / "scratch"
        scratch.mkdir()
        self.addCleanup(shutil.rmtree, scratch)
        host = Host(
            [sys.executable, "worker.py", str(self.root / "bin/ollama")],
            ENGINE,
            {
                **self.environment,
                "FAKE_OLLAMA": fault,
                "PYTHONPATH": str(ENGINE.parent / "sdk"),
                "PRONY_ENGINE_SCRATCH": str(scratch),
            },
        )
        host.ask("hello", protocol=1)
        return host

    def load(self, host, device="cpu"):
        return host.ask(
            "load", model=str(self.model), variant="ollama", device=device, precision="", quantize="",
            shard=1, threads=1, context=64, options={"silence_s": 120},
        )  # fmt: skip

    def test_a_backend_that_it_could_not_load_is_not_measured(self):
        """Ollama says what it meant to put on the GPU, and its runner goes on without one."""
        host = self.worker("no-backend")
        error = self.load(host, "cuda")["error"]
        self.assertIn("has not loaded its CUDA backend, and was to use cuda", error["message"])
        host.ask("bye")
        host.close()

    def test_a_backend_that_it_has_loaded(self):
        host = self.worker("cuda")
        self.assertEqual(self.load(host, "cuda")["precision"], "float16")
        host.ask("bye")
        host.close()

    def test_tokens_that_come_in_one_chunk_are_stamped_with_its_arrival(self):
        host = self.worker("held")
        loaded = self.load(host)
        self.assertEqual(loaded["precision"], "float16")
        bos = loaded["vocabulary"] - 256
        reply = host.ask("generate", prompt=[bos, 1, 2], tokens=8)
        self.assertEqual(len(reply.get("ids", [])), 8, reply)
        sent = [each["sent_ns"] for each in self.requests() if each["path"] == "chunk"]
        sent.insert(3, sent[3])  # ids 3 and 4 came together
        for stamp, earliest in zip(reply["stamps_ns"], sent):
            self.assertGreater(stamp, earliest)
        host.ask("bye")
        host.close()

    def test_a_server_that_keeps_its_place_for_an_answer_nobody_reads_is_started_anew(self):
        host = self.worker("occupied")
        bos = self.load(host)["vocabulary"] - 256
        asked = {"prompt": [bos, 1, 2], "stream": True, "temperature": 0.5, "seed": 1}
        short = host.ask("generate", tokens=3, **asked)
        stopped = host.ask("generate", tokens=9, stop=short["ids"][2:], **asked)
        self.assertEqual(stopped.get("ids"), short["ids"], stopped)
        after = host.ask("generate", tokens=3, **asked)
        self.assertEqual(after.get("ids"), short["ids"], after)
        self.assertEqual([each["path"] for each in self.requests()].count("/api/create"), 2)
        host.ask("bye")
        host.close()


if __name__ == "__main__":
    unittest.main()
