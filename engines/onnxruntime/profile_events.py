"""ONNX Runtime's profile as a Chrome trace."""

import json
import os


def profile_write(profile, path):
    """Moves a profile, which is a bare list of events, to path."""
    with open(profile, encoding="utf-8") as file:
        events = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events}, file)
    os.remove(profile)
