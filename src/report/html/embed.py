#!/usr/bin/env python3
"""embed.py FOLDER: page.css and page.js of a folder as C, with the digests that the page's security
policy names, on standard output."""

import base64
import hashlib
import pathlib
import sys


def literal(text):
    """A C string for any text; each line is one, so that none is too long for a compiler."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(f'    "{line}\\n"' for line in escaped.splitlines())


print('#include "report/html/page.h"')
for name in ("css", "js"):
    text = (pathlib.Path(sys.argv[1]) / f"page.{name}").read_text(encoding="ascii")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    print(f"const char page_{name}[] =\n{literal(text)};")
    print(f'const char page_{name}_digest[] = "sha256-{digest}";')
