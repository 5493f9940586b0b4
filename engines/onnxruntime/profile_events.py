"""ONNX Runtime's profile as a Chrome trace, and where its time went."""

import collections
import json
import os


def profile_take(profile, path):
    """Moves a profile, which is a bare list of events, to path; returns what it comes to."""
    with open(profile, encoding="utf-8") as file:
        events = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events}, file)
    os.remove(profile)
    return sums(events)


def runs(events):
    """(run, its nodes), in the order of time."""
    found = []
    for event in sorted(events, key=lambda e: e["ts"]):
        if event["name"] == "model_run":
            found.append((event, []))
        elif event["cat"] == "Node" and event["name"].endswith("_kernel_time") and found:
            found[-1][1].append(event)
    return found


def is_prompt(nodes):
    """Whether more than one id goes in: they are the graph's one input of 64-bit integers."""
    shapes = (shape for node in nodes for shape in node["args"]["input_type_shape"])
    ids = next(shape["int64"] for shape in shapes if len(shape.get("int64", [])) == 2)
    return ids[1] > 1


def sums(events):
    """The members of trace's reply; a prompt of one id counts as a further token."""
    reply = {"prompts": 0, "tokens": 0, "prompt_ns": 0, "token_ns": 0}
    operations = collections.defaultdict(lambda: {"prompt_ns": 0, "token_ns": 0})
    for run, nodes in runs(events):
        kind = "prompt" if is_prompt(nodes) else "token"
        reply[f"{kind}s"] += 1
        reply[f"{kind}_ns"] += run["dur"] * 1000
        for node in nodes:
            operations[node["args"]["op_name"]][f"{kind}_ns"] += node["dur"] * 1000
    return {**reply, "operations": [{"name": n, **times} for n, times in operations.items()]}
