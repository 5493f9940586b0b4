"""What the tests of installations share: wheels, and an index of packages that can be told to fail."""

import base64
import hashlib
import http.server
import threading
import time
import zipfile
from pathlib import Path


def wheel_make(folder, name, version, source):
    """A wheel with one module; returns its SHA-256."""
    path = Path(folder) / f"{name}-{version}-py3-none-any.whl"
    files = {
        f"{name}.py": source,
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        ),
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = ""
    for member, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{member},sha256={digest.decode().rstrip('=')},{len(text)}\n"
    files[f"{name}-{version}.dist-info/RECORD"] = record + f"{name}-{version}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Index:
    """A package index on the loopback device that can be told to fail."""

    def __init__(self, wheels):
        self.served, self.cut, self.hang = [], None, None
        self.hanging = threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                index.answer(self, self.path.strip("/").split("/"))

            def log_message(self, *arguments):
                pass

        self.wheels = wheels
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request, path):
        if path[0] == "simple":
            prefix = path[1].replace("-", "_")
            names = [w.name for w in self.wheels.iterdir() if w.name.startswith(prefix)]
            body = "".join(f'<a href="/files/{name}">{name}</a>' for name in names).encode()
            kind = "text/html"
        else:
            body = (self.wheels / path[1]).read_bytes()
            kind = "application/octet-stream"
            self.served.append(path[1].split("-")[0])
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if path[0] == "files" and path[1].startswith(str(self.hang)):
            request.wfile.write(body[: len(body) // 2])
            self.hanging.set()
            time.sleep(300)
        if path[0] == "files" and path[1].startswith(str(self.cut)):
            body = body[: len(body) // 2]
        request.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def environment(self):
        return {
            "PIP_NO_INDEX": "0",
            "PIP_FIND_LINKS": "",
            "PIP_INDEX_URL": f"http://127.0.0.1:{self.server.server_address[1]}/simple",
            "PIP_RETRIES": "1",
            "PIP_RESUME_RETRIES": "0",
            "no_proxy": "127.0.0.1",
        }


def processes_of(text):
    """Pids whose command line has the text."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            pass
    return found
