"""What the tests of downloads share: a hub on loopback that can be told to fail, and a cache."""

import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

PRONY = os.environ["PRONY"]
TOKEN = "hf_secretsecret"
REPO = "org/repo"
BODY = bytes(i * 7 % 251 for i in range(300_000))


def entry(path, body, lfs=True):
    blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    item = {"type": "file", "path": path, "size": len(body), "oid": blob}
    if lfs:
        item["lfs"] = {"oid": hashlib.sha256(body).hexdigest(), "size": len(body)}
    return item


class Hub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"model.gguf": BODY}
        self.list = None  # in place of the true one
        self.fault = None  # called with the handler for a file; true: it has answered
        self.list_fault = None
        self.seen = []  # (path, Range, Authorization)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, part):
        return [s for s in self.seen if part in s[0]]

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is part of the tests


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return True

    def do_GET(self):
        hub = self.server
        hub.seen.append((self.path, self.headers["Range"], self.headers["Authorization"]))
        if self.path.startswith(f"/api/models/{REPO}/tree/main"):
            if hub.list_fault and hub.list_fault(self):
                return
            files = [entry(p, b) for p, b in hub.files.items()] if hub.list is None else hub.list
            self.answer(200, json.dumps(files).encode())
            return
        if hub.fault and hub.fault(self):
            return
        self.file(hub.files.get(self.path.rpartition("/main/")[2]))

    def file(self, body):
        if body is None:
            self.answer(404)
        elif self.headers["Range"]:
            start = int(self.headers["Range"][len("bytes=") : -1])
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.answer(206, body[start:], Content_Range=span)
        else:
            self.answer(200, body)


def always(code, **headers):
    return lambda handler: handler.answer(code, b"no", **headers)


class Get(unittest.TestCase):
    def setUp(self):
        self.cache = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.cache)
        self.hub = self.server()
        self.token = TOKEN

    def server(self):
        hub = Hub()
        self.addCleanup(hub.server_close)
        self.addCleanup(hub.shutdown)
        return hub

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        return {
            **kept,
            "PRONY_CACHE": str(self.cache),
            "HF_ENDPOINT": self.hub.url,
            "HF_TOKEN": self.token,
            **more,
        }

    def get(self, *arguments, name=REPO, **more):
        command = [PRONY, "model", "get", name, *arguments]
        result = subprocess.run(
            command, env=self.environment(**more), capture_output=True, text=True, timeout=60
        )
        self.assertNotIn(TOKEN, result.stdout + result.stderr)
        self.assertNotIn("ERROR: AddressSanitizer", result.stderr)
        return result

    @property
    def place(self):
        return self.cache / "models/org/repo/model.gguf"

    def good(self, result, path=None, body=BODY):
        self.assertEqual(result.returncode, 0, result.stderr)
        path = path or self.place
        self.assertEqual(result.stdout, f"{path}\n")
        if path.is_file():
            self.assertEqual(path.read_bytes(), body)
        self.assertEqual(self.parts(), [])

    def bad(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertFalse(self.place.exists())

    def parts(self):
        return list(self.cache.rglob("*.part.*"))

    def cut_at(self, count, times=1, body=BODY):
        """Sends count bytes of what was asked for, then hangs up, so many times."""
        left = [times]

        def fault(handler):
            if left[0] == 0:
                return False
            left[0] -= 1
            text = handler.headers["Range"]
            start = int(text[len("bytes=") : -1]) if text else 0
            rest = body[start:]
            more = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if text else {}
            handler.answer(206 if text else 200, rest[:count], Content_Length=len(rest), **more)
            handler.close_connection = True
            return True

        self.hub.fault = fault
