"""ONNX Runtime outside Prony: model files with external data, and the loops of its own examples.

    python onnxruntime_recipe.py MODEL --graph fused --threads 2 [--device cuda]

fused is a graph in the form that onnxruntime-genai's model builder writes, run with bound buffers, on CUDA
in float16; it shares nothing with engines/onnxruntime but the reader of the file. plain is the worker's own
graph of standard operators (an export would need PyTorch), run with session.run on numpy arrays, on the CPU. Says when it is
ready; then, for each line of its standard input, prints JSON: milliseconds for each token.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "engines/sdk"), str(HERE.parents[1] / "engines/onnxruntime")]
from plain import PlainGraph  # noqa: E402
from prony_model import LlamaFile  # noqa: E402

INT64, INT32 = TensorProto.INT64, TensorProto.INT32
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


class Data:
    """The weights' file, and the tensors of the graph that point into it."""

    def __init__(self, folder, dtype="float32"):
        self.path, self.tensors, self.arrays, self.size = folder / "data", [], [], 0
        self.dtype, self.type = dtype, TYPES[dtype]

    def add(self, name, array):
        array = array.astype(self.dtype)
        tensor = TensorProto(name=name, dims=array.shape, data_type=self.type)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": self.path.name, "offset": self.size, "length": array.nbytes}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        self.tensors.append(tensor)
        self.arrays.append(array)
        self.size += array.nbytes
        return name

    def write(self):
        with open(self.path, "wb") as file:
            for array in self.arrays:
                file.write(np.ascontiguousarray(array))


def read(path):
    with LlamaFile(path) as file:
        weights = {}
        for name, tensor in file.tensors():
            array = tensor.array
            if tensor.dtype == "bfloat16":
                array = (array.astype(np.uint32) << 16).view(np.float32)
            weights[name.removesuffix(".weight")] = array.astype(np.float32)
        return file.config, weights


def layer(c, w, data, nodes, i, x, skip):
    """x: the residual stream, skip: what is to be added to it; both for the next layer."""
    at = f"model.layers.{i}."

    def node(kind, inputs, outputs, domain="", **attributes):
        nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def matmul(x, name):
        return node("MatMul", [x, data.add(at + name, w[at + name].T)], [at + name + "/MatMul"])

    def norm(x, skip, name):
        scale, out = data.add(at + name, w[at + name]), at + name + "/out"
        if skip is None:
            kind, eps = "SimplifiedLayerNormalization", c.norm_eps
            return node(kind, [x, scale], [out], axis=-1, epsilon=eps, stash_type=1), x
        total, ms = at + name + "/sum", "com.microsoft"
        kind = "SkipSimplifiedLayerNormalization"
        node(kind, [x, skip, scale], [out, "", "", total], ms, epsilon=c.norm_eps)
        return out, total

    h, x = norm(x, skip, "input_layernorm")
    packed = np.concatenate([w[f"{at}self_attn.{name}_proj"] for name in "qkv"])
    qkv = node("MatMul", [h, data.add(at + "qkv", packed.T)], [at + "qkv/MatMul"])
    kv = [f"past_key_values.{i}.key", f"past_key_values.{i}.value"]
    new = [f"present.{i}.key", f"present.{i}.value"]
    inputs = [qkv, "", "", *kv, "seqlens_k", "total_sequence_length", "cos_cache", "sin_cache"]
    heads = {"num_heads": c.heads, "kv_num_heads": c.kv_heads, "do_rotary": 1}
    y = node("GroupQueryAttention", inputs, [at + "attention", *new], "com.microsoft", **heads)
    h, x = norm(x, matmul(y, "self_attn.o_proj"), "post_attention_layernorm")
    gate, up = matmul(h, "mlp.gate_proj"), matmul(h, "mlp.up_proj")
    act = node("Mul", [gate, node("Sigmoid", [gate], [at + "sigmoid"])], [at + "silu"])
    return x, matmul(node("Mul", [act, up], [at + "mlp"]), "mlp.down_proj")


def fused_model(path, folder, context, dtype):
    c, w = read(path)
    data, nodes = Data(folder, dtype), []
    angles = np.arange(context)[:, None] * c.rope_frequencies.astype(np.float64)
    data.add("cos_cache", np.cos(angles))
    data.add("sin_cache", np.sin(angles))
    data.add("embed", w["model.embed_tokens"])
    nodes.append(helper.make_node("Gather", ["embed", "input_ids"], ["embedded"]))
    x, skip = "embedded", None
    for i in range(c.layers):
        x, skip = layer(c, w, data, nodes, i, x, skip)
    data.add("final", w["model.norm"])
    data.add("head", w.get("lm_head", w["model.embed_tokens"]).T)
    minus = helper.make_tensor("minus", INT64, [1], [-1])
    kind = "SkipSimplifiedLayerNormalization"
    nodes += [
        helper.make_node(
            kind, [x, skip, "final"], ["normed"], domain="com.microsoft", epsilon=c.norm_eps
        ),
        helper.make_node("Gather", ["normed", "minus"], ["last"], axis=1),
        helper.make_node("MatMul", ["last", "head"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["next"], axis=-1, keepdims=0),
    ]
    cache = [1, c.kv_heads, context, c.head_size]
    pairs = [f"{i}.{kind}" for i in range(c.layers) for kind in ("key", "value")]
    inputs = [("input_ids", INT64, [1, "n"])]
    inputs += [("seqlens_k", INT32, [1]), ("total_sequence_length", INT32, [1])]
    inputs += [(f"past_key_values.{pair}", data.type, cache) for pair in pairs]
    outputs = [("next", INT64, [1, 1])]
    outputs += [(f"present.{pair}", data.type, cache) for pair in pairs]
    inputs, outputs = (
        [helper.make_tensor_value_info(*v) for v in values] for values in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "llama", inputs, outputs, [*data.tensors, minus])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    data.write()
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), folder / "model.onnx")
    return c, pairs


def plain_model(path, folder):
    with LlamaFile(path) as file:
        graph = PlainGraph(file)
    data = Data(folder)
    small = [t for t in graph.initialisers if t.name not in graph.weights]
    for name, array in graph.weights.items():
        data.add(name, array)
    data.write()
    graph.initialisers = [*data.tensors, *small]
    (folder / "model.onnx").write_bytes(graph.model())
    c = graph.config
    return c, [f"{i}.{kind}" for i in range(c.layers) for kind in ("key", "value")]


def fused_loop(session, c, pairs, o):
    """genai chooses by a kernel of its own on the device; here the graph's last node does."""
    binding = session.io_binding()
    cache = np.zeros((1, c.kv_heads, o.context, c.head_size), o.dtype)
    for pair in pairs:
        value = ort.OrtValue.ortvalue_from_numpy(cache.copy(), *o.place)
        binding.bind_ortvalue_input(f"past_key_values.{pair}", value)
        binding.bind_ortvalue_output(f"present.{pair}", value)
    binding.bind_output("next", "cpu")

    def run(ids, position):
        total = position + len(ids)
        binding.bind_cpu_input("input_ids", np.array([ids]))
        binding.bind_cpu_input("seqlens_k", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total_sequence_length", np.array([total], np.int32))
        session.run_with_iobinding(binding)
        return int(binding.get_outputs()[-1].numpy()[0, 0])

    return run


def plain_loop(session, c, pairs, _o):
    empty = np.zeros((1, c.kv_heads, 0, c.head_size), np.float32)
    past = [None]

    def run(ids, position):
        if position == 0:
            past[0] = [empty] * len(pairs)
        feed = {f"past_key_values.{pair}": value for pair, value in zip(pairs, past[0])}
        places = np.arange(position, position + len(ids))[None]
        outputs = session.run(None, {"input_ids": np.array([ids]), "position_ids": places, **feed})
        *past[0], logits = outputs
        return int(logits.argmax())

    return run


def measure(run, prompt, count):
    """Ids and stamps of a fresh sequence."""
    ids, stamps, position = [run(prompt, 0)], [time.perf_counter()], len(prompt)
    while len(stamps) <= count:
        ids.append(run(ids[-1:], position))
        stamps.append(time.perf_counter())
        position += 1
    return ids, stamps


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--graph", choices=["plain", "fused"], default="fused")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--context", type=int, default=256)
    o = parser.parse_args()
    kind, _, index = o.device.partition(":")
    o.place, o.dtype = (kind, int(index or 0)), "float16" if kind == "cuda" else "float32"
    if o.graph == "plain" and kind != "cpu":
        parser.error("the plain graph is for the CPU")
    return o


def session_open(o, path):
    options, providers = ort.SessionOptions(), ["CPUExecutionProvider"]
    options.intra_op_num_threads = o.threads
    if o.place[0] == "cuda":
        ort.preload_dlls(directory="")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": str(o.place[1])}))
    session = ort.InferenceSession(path, options, providers)
    if o.place[0] == "cuda" and session.get_providers()[0] != "CUDAExecutionProvider":
        sys.exit("ONNX Runtime cannot use CUDA here")
    return session


def main():
    o = parse()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if o.graph == "fused":
            c, pairs = fused_model(o.model, folder, o.context, o.dtype)
        else:
            c, pairs = plain_model(o.model, folder)
        session = session_open(o, folder / "model.onnx")
    loop = {"fused": fused_loop, "plain": plain_loop}[o.graph]
    run = loop(session, c, pairs, o)
    prompt = [(i * 7919 + 13) % c.vocabulary for i in range(o.prompt)]
    count = o.warm_up + o.tokens
    measure(run, prompt, 4)
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        ids, stamps = measure(run, prompt, count)
        ms = (stamps[count] - stamps[o.warm_up]) / o.tokens * 1e3
        print(json.dumps({"ms": ms, "ids": ids[:16]}), flush=True)


if __name__ == "__main__":
    main()
