"""Engines that tests make up: a folder with an engine.json, around a worker of their own or the null engine's."""

import json
import os
from pathlib import Path

BUILD = Path(os.environ["PRONY_BUILD"])
WORKER = BUILD / "engines/null/worker"


def engine_write(folder, name, command, options=None, install=None, hidden=True, **supports):
    """An engine's folder with one variant of the same name, on the CPU if nothing else is said."""
    home = Path(folder) / name
    home.mkdir(parents=True)
    manifest = {
        "name": name,
        "title": name.title(),
        "licence": "MIT",
        "about": "For a test.",
        "command": command,
        "hidden": hidden,
        "variants": [
            {
                "name": name,
                "title": name.title(),
                "precision": "float32",
                "about": "For a test.",
                "supports": {"formats": ["gguf", "safetensors"], "devices": ["cpu"], **supports},
                "options": options or {},
            }
        ],
    }
    if install:
        manifest["install"] = install
    (home / "engine.json").write_text(json.dumps(manifest))
    return home
