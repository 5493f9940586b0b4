"""prony model get against a hub on loopback that has every fault a hub can have."""

import os
import subprocess
import time
import unittest

from hub_case import BODY, PRONY, REPO, TOKEN, Get, always, entry


class Good(Get):
    def test_a_file_and_nothing_twice(self):
        self.good(self.get())
        self.good(self.get())
        self.assertEqual(len(self.hub.asked("/resolve/")), 1)
        self.assertEqual(self.hub.seen[0][2], f"Bearer {TOKEN}")

    def test_safetensors_with_what_belongs_to_them(self):
        wanted = ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"]
        left = ["README.md", ".gitattributes", "original/consolidated.00.pth", "x.gguf"]
        self.hub.files = {p: p.encode() for p in wanted + left}
        self.hub.list = [entry(p, p.encode(), lfs="." in p[-12:-11]) for p in wanted + left]
        folder = self.place.parent
        self.good(self.get(), folder)
        self.assertEqual(sorted(p.name for p in folder.iterdir()), [".files", ".lock", *wanted])
        self.good(self.get(HF_HUB_OFFLINE="1"), folder)
        (folder / "config.json").unlink()
        self.assertIn("is not here", self.get(HF_HUB_OFFLINE="1").stderr)
        self.cut_at(0, times=100)
        self.assertIn("transfer", self.get("--retries", "0").stderr)
        self.assertFalse((folder / ".files").exists())

    def test_a_gguf_in_parts(self):
        paths = [f"Q8/m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
        self.hub.files = {p: p.encode() for p in (paths[1], "README.md", paths[2], paths[0])}
        folder = self.place.parent
        for name, path in ((REPO, paths[0]), *((f"{REPO}:{p}", p) for p in paths)):
            self.good(self.get(name=name), folder / path, path.encode())
            self.assertEqual(sorted(p.name for p in folder.glob("*/*")), [p[3:] for p in paths])
            self.good(self.get(name=name, HF_HUB_OFFLINE="1"), folder / path, path.encode())
            self.assertFalse((folder / "README.md").exists())
        (folder / paths[2]).unlink()
        for name in (REPO, f"{REPO}:{paths[0]}"):
            self.assertIn("is not here", self.get(name=name, HF_HUB_OFFLINE="1").stderr)
        self.good(self.get(), folder / paths[0], paths[0].encode())
        self.assertTrue((folder / paths[2]).exists())

    def test_parts_of_several_models_or_not_all(self):
        first = [f"{name}/m-0000{i}-of-00002.gguf" for name in ("a", "b") for i in (1, 2)]
        self.hub.files = dict.fromkeys(first, b"x")
        self.bad(self.get(), f"of: {first[0]}, {first[2]}\n")
        self.good(self.get(name=f"{REPO}:{first[3]}"), self.place.parent / first[3], b"x")
        self.assertFalse((self.place.parent / first[0]).exists())
        del self.hub.files[first[1]]
        self.bad(self.get(name=f"{REPO}:{first[0]}"), "1 of the 2 parts")
        del self.hub.files[first[0]], self.hub.files[first[2]]
        self.bad(self.get(), "neither safetensors nor GGUF")

    def test_a_file_in_a_folder_with_a_name_to_encode(self):
        path = "a b/50%#?é.gguf"
        self.hub.files = {path: BODY, "other.gguf": b"x"}
        self.hub.fault = lambda handler: handler.answer(200, BODY)
        self.good(self.get(name=f"{REPO}:{path}"), self.place.parent / path)
        self.assertIn("/a%20b/50%25%23%3F%C3%A9.gguf", self.hub.seen[-1][0])

    def test_a_list_of_several_pages(self):
        def paged(handler):
            if "cursor" in handler.path:
                return False
            link = f'<{self.hub.url}{handler.path}&cursor=x>; rel="next"'
            return handler.answer(200, b"[]", Link=link)

        self.hub.list_fault = paged
        self.good(self.get())

    def test_an_empty_file(self):
        self.hub.files = {"model.gguf": b""}
        self.good(self.get(), body=b"")

    def test_offline(self):
        self.bad(self.get(HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE")
        self.good(self.get())
        count = len(self.hub.seen)
        self.good(self.get(name=f"{REPO}:model.gguf", HF_HUB_OFFLINE="1"))
        self.assertEqual(len(self.hub.seen), count)

    def test_a_damaged_file_is_fetched_again(self):
        self.good(self.get())
        self.place.write_bytes(b"?" * len(BODY))
        self.good(self.get())

    def test_two_processes_fetch_once(self):
        def slow(handler):
            time.sleep(0.5)

        self.hub.fault = slow
        command = [PRONY, "model", "get", REPO]
        both = [
            subprocess.Popen(
                command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            for _ in range(2)
        ]
        for process in both:
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(len(self.hub.asked("/resolve/")), 1)
        self.assertEqual(self.place.read_bytes(), BODY)


class Cut(Get):
    def test_goes_on_in_the_same_run(self):
        for count in (0, 1, 4096, 65_537, len(BODY) - 1):
            with self.subTest(count=count):
                self.hub.seen.clear()
                self.cut_at(count)
                self.good(self.get())
                ranges = [s[1] for s in self.hub.asked("/resolve/")]
                self.assertEqual(ranges, [None, f"bytes={count}-" if count else None])
                self.place.unlink()

    def test_at_any_byte(self):
        short = BODY[:24]
        self.hub.files = {"model.gguf": short}
        for count in range(len(short)):
            self.cut_at(count, body=short)
            self.bad(self.get("--retries", "0"), "transfer")
            self.assertEqual([p.stat().st_size for p in self.parts()], [count])
            self.good(self.get(), body=short)
            self.place.unlink()

    def test_goes_on_in_the_next_run(self):
        self.cut_at(100_000)
        self.bad(self.get("--retries", "0"), "transfer")
        self.assertEqual([p.stat().st_size for p in self.parts()], [100_000])
        self.good(self.get())
        self.assertEqual(self.hub.seen[-1][1], "bytes=100000-")

    def test_a_hub_without_ranges(self):
        self.cut_at(1000)
        self.bad(self.get("--retries", "0"))
        self.hub.fault = lambda handler: handler.answer(200, BODY)
        self.good(self.get())

    def test_a_kept_part_that_is_damaged(self):
        self.cut_at(1000)
        self.bad(self.get("--retries", "0"))
        self.parts()[0].write_bytes(b"?" * 1000)
        self.good(self.get())

    def test_another_part_than_asked_for(self):
        self.cut_at(1000)
        self.bad(self.get("--retries", "0"))
        span = f"bytes 0-{len(BODY) - 1}/{len(BODY)}"
        self.hub.fault = lambda handler: handler.answer(206, BODY, Content_Range=span)
        self.bad(self.get(), "another part")

    def test_slow_loris(self):
        def drip(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(BODY)))
            handler.end_headers()
            for i in range(100):
                handler.wfile.write(BODY[i : i + 1])
                time.sleep(0.1)
            return True

        self.hub.fault = drip
        self.bad(self.get("--retries", "0", "--stall", "1"), "transfer")

    def test_an_answer_that_never_comes(self):
        def sleep(handler):
            time.sleep(6)
            return True

        self.hub.list_fault = sleep
        self.bad(self.get("--retries", "0", "--stall", "1"), "transfer")


class Refused(Get):
    def test_the_licence_gate(self):
        self.hub.fault = always(403)
        self.bad(self.get(), "licence", f"{self.hub.url}/{REPO}", "HF_TOKEN")
        self.hub.fault = always(401)
        self.bad(self.get(), "does not take the token")
        self.token = ""
        self.bad(self.get(), "wants to know who asks", "HF_TOKEN")

    def test_nothing_of_that_name(self):
        self.hub.fault = always(404)
        self.bad(self.get(), "404")
        self.bad(self.get(name="org/none"), "404")
        self.bad(self.get(name=f"{REPO}:none.gguf"), "none.gguf")

    def test_several_models(self):
        self.hub.files = {"a.gguf": b"a", "b.gguf": b"b"}
        self.bad(self.get(), f"{REPO}:FILE", "a.gguf, b.gguf")

    def test_too_many_requests(self):
        self.hub.fault = always(429, Retry_After=3600)
        self.bad(self.get(), "429", "3600 seconds")
        self.assertEqual(len(self.hub.asked("/resolve/")), 1)

    def test_a_wait_that_is_asked_for(self):
        self.hub.fault = lambda h: (
            len(self.hub.asked("/resolve/")) == 1 and always(429, Retry_After=1)(h)
        )
        result = self.get()
        self.good(result)
        self.assertIn("Trying again in 1.0 s", result.stderr)

    def test_an_error_that_passes_and_one_that_stays(self):
        self.hub.fault = lambda h: len(self.hub.asked("/resolve/")) == 1 and always(500)(h)
        self.good(self.get())
        self.place.unlink()
        self.hub.seen.clear()
        self.hub.fault = always(503)
        self.bad(self.get("--retries", "1"), "503")
        self.assertEqual(len(self.hub.asked("/resolve/")), 2)

    def test_no_hub(self):
        self.bad(self.get("--retries", "0", HF_ENDPOINT="http://127.0.0.1:1"), "transfer failed")
        for wrong in ("ftp://127.0.0.1", "http://a:b@127.0.0.1", "127.0.0.1", "http://127.0.0.1/?"):
            self.bad(self.get(HF_ENDPOINT=wrong), "HF_ENDPOINT")

    def test_a_token_that_is_none(self):
        self.bad(self.get(HF_TOKEN=f"{TOKEN}\r\nX: y"), "HF_TOKEN")
        self.assertEqual(self.hub.seen, [])


class Redirects(Get):
    def test_another_server_never_sees_the_token(self):
        other = self.server()
        self.hub.fault = lambda h: h.answer(302, Location=f"{other.url}/cdn/main/model.gguf")
        self.good(self.get())
        self.assertEqual(other.seen, [("/cdn/main/model.gguf", None, None)])

    def test_nor_does_the_hub_after_it(self):
        other = self.server()
        other.fault = lambda h: h.answer(302, Location=f"{self.hub.url}/back/main/model.gguf")
        self.hub.fault = lambda h: "/resolve/" in h.path and h.answer(302, Location=other.url)
        self.good(self.get())
        self.assertIsNone(self.hub.asked("/back/")[0][2])

    def test_the_same_server_sees_it(self):
        self.hub.fault = lambda h: (
            "/resolve/" in h.path and h.answer(307, Location="/moved/main/model.gguf")
        )
        self.good(self.get())
        self.assertEqual(self.hub.asked("/moved/")[0][2], f"Bearer {TOKEN}")

    def test_a_loop(self):
        self.hub.fault = lambda h: h.answer(302, Location=h.path)
        self.bad(self.get(), "loop")

    def test_away_from_http(self):
        self.hub.fault = lambda h: h.answer(302, Location="file:///etc/passwd")
        self.bad(self.get(), "away from http")


class Hostile(Get):
    def test_a_wrong_hash(self):
        self.hub.fault = lambda h: h.answer(200, b"?" * len(BODY))
        self.bad(self.get(), "hash differs")
        self.assertEqual(self.parts(), [])

    def test_a_file_that_grows(self):
        self.hub.fault = lambda h: h.answer(200, BODY + b"more")
        self.bad(self.get(), "in the hub's list")

        def endless(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(BODY * 20)
            return True

        self.hub.fault = endless
        self.bad(self.get(), "in the hub's list")
        self.assertEqual(self.parts(), [])

    def test_paths_that_lead_out(self):
        for path in (
            "../evil.gguf",
            "/evil.gguf",
            "a/../../evil.gguf",
            "a//b.gguf",
            "a\\b.gguf",
            "a/./b.gguf",
            "",
            "x\n.gguf",
            "..",
            "a/" * 300 + "b.gguf",
        ):
            with self.subTest(path=path):
                self.hub.list = [entry("model.gguf", BODY), entry(path, BODY)]
                self.bad(self.get(), "outside the model's folder")
        for path in ("../evil", "/etc/x", ".lock", "a/.git/x", ""):
            self.bad(self.get(name=f"{REPO}:{path}"), "no path inside")
        self.assertEqual(self.hub.asked("/resolve/"), [])

    def test_lists_that_are_none(self):
        whole = entry("model.gguf", BODY)
        for wrong in (
            {},
            7,
            [7],
            [{"type": "file"}],
            [{**whole, "size": -1}],
            [{**whole, "size": 1e9}],
            [{**whole, "lfs": {"oid": "../../x"}}],
            [{**whole, "lfs": {}}],
            [{**whole, "path": 1}],
        ):
            with self.subTest(wrong=wrong):
                self.hub.list = wrong
                self.bad(self.get(), "Error: ")
        self.hub.list_fault = lambda h: h.answer(200, b'[{"type":"file"')
        self.bad(self.get(), "list of files is none")

    def test_a_size_that_no_disk_has(self):
        self.hub.list = [{**entry("model.gguf", BODY), "size": 1 << 45}]
        self.bad(self.get(), "still to come", "PRONY_CACHE")


@unittest.skipUnless(os.geteuid() == 0, "only root may mount a small file system")
class SmallDisk(Get):
    def setUp(self):
        super().setUp()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "prony", self.cache],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            self.skipTest(made.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", self.cache], check=True)

    def test_too_small_from_the_start(self):
        self.hub.files = {"model.gguf": BODY * 2}
        self.bad(self.get(), "the disk has")
        self.assertEqual(self.hub.asked("/resolve/"), [])

    def test_full_on_the_way(self):
        def fill(handler):
            (self.cache / "other").write_bytes(b"x" * 200_000)

        self.hub.fault = fill
        self.bad(self.get(), "No space left", "Free some disk space")
        (self.cache / "other").unlink()
        self.hub.fault = None
        self.good(self.get())
        self.assertTrue(self.hub.seen[-1][1].startswith("bytes="))


if __name__ == "__main__":
    unittest.main()
