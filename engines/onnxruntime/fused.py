"""A Llama model of ONNX Runtime's own operators, as onnxruntime-genai's model builder has them.

Keys and values lie in one buffer for each layer, which is bound as input and as output, and so is the
newest id: a step moves nothing but its position. GroupQueryAttention rotates q and k, writes the new
rows and attends; the argmax is the graph's last node.
"""

import numpy as np
import onnxruntime as ort
from graph import Graph, weights_read
from prony_worker import Failure


def rope_tables(config, context, dtype):
    """cos and sin, [context, head_size / 2], of angles in float32 whatever the weights are."""
    angles = np.arange(context, dtype=np.float32)[:, None] * config.rope_frequencies
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


class FusedGraph(Graph):
    def __init__(self, file, context, dtype):
        super().__init__()
        if file.config.head_size % 16:
            what = f"heads of {file.config.head_size}; GroupQueryAttention rotates multiples of 16"
            raise Failure("unsupported", what, "Take the variant onnxruntime.")
        self.config, self.context, self.dtype = file.config, context, dtype
        self.arrays = weights_read(file, dtype)
        self.weight_bytes = sum(array.nbytes for array in self.arrays.values())
        ids = self.input("ids", "int64", [1, "tokens"])
        self.last = self.input("last", "int32", [1])
        self.total = self.input("total", "int32", [1])
        tables = rope_tables(self.config, context, dtype)
        self.rope = [self.weight(name, table) for name, table in zip(("cos", "sin"), tables)]
        embedding = self._take("model.embed_tokens")
        x, delta = self.op("Gather", embedding, ids), None
        for i in range(self.config.layers):
            x, delta = self._layer(x, delta, i)
        x, _ = self._add_and_norm(x, delta, "model.norm")
        x = self.op("Gather", x, self.constant([-1], "int64"), axis=1)  # the last token's
        self._choose(x, embedding if self.config.tied else self._take("lm_head"))

    def _choose(self, x, weight):
        if self.dtype == np.float32:
            self._multiply(x, weight, outputs=["logits"])
        else:
            self.op("Cast", self._multiply(x, weight), to=1, outputs=["logits"])
        self.op("ArgMax", "logits", axis=-1, keepdims=0, outputs=["id"])
        self.output("logits", "float32", [1, 1, self.config.vocabulary])
        self.output("id", "int64", [1, 1])

    def _take(self, name):
        name += ".weight"
        return self.weight(name, self.arrays.pop(name))

    def _multiply(self, x, weight, **outputs):
        return self.contrib("FusedMatMul", x, weight, transB=1, **outputs)

    def _linear(self, x, *names):
        """One product for the weights of all names."""
        if len(names) == 1:
            return self._multiply(x, self._take(names[0]))
        parts = [self.arrays.pop(name + ".weight") for name in names]
        return self._multiply(x, self.weight("+".join(names), np.concatenate(parts)))

    def _add_and_norm(self, x, delta, name):
        """The norm of x + delta, and the sum itself."""
        weight, eps = self._take(name), self.config.norm_eps
        if delta is None:
            return self.op("SimplifiedLayerNormalization", x, weight, axis=-1, epsilon=eps), x
        kind, names = "SkipSimplifiedLayerNormalization", [f"{name}.norm", "", "", f"{name}.sum"]
        self.contrib(kind, x, delta, weight, epsilon=eps, outputs=names)
        return names[0], names[3]

    def _attention(self, x, i):
        c, own = self.config, f"model.layers.{i}.self_attn."
        qkv = self._linear(x, own + "q_proj", own + "k_proj", own + "v_proj")
        past, present = ([f"{when}.{i}.{kind}" for kind in "kv"] for when in ("past", "present"))
        shape = [1, c.kv_heads, self.context, c.head_size]
        for name, other in zip(past, present):
            self.input(name, self.dtype, shape)
            self.output(other, self.dtype, shape)
        rest = [*past, self.last, self.total, *self.rope]
        heads = {"num_heads": c.heads, "kv_num_heads": c.kv_heads}
        outputs = [f"{own}attention", *present]
        self.contrib(
            "GroupQueryAttention", qkv, "", "", *rest, do_rotary=1, outputs=outputs, **heads
        )
        return self._linear(outputs[0], own + "o_proj")

    def _layer(self, x, delta, i):
        """The residual stream, and what is to be added to it next."""
        own = f"model.layers.{i}."
        normed, x = self._add_and_norm(x, delta, own + "input_layernorm")
        delta = self._attention(normed, i)
        normed, x = self._add_and_norm(x, delta, own + "post_attention_layernorm")
        gate = self._linear(normed, own + "mlp.gate_proj")
        gate = self.contrib("QuickGelu", gate, alpha=1.0)  # with 1.0 it is SiLU
        product = self.op("Mul", gate, self._linear(normed, own + "mlp.up_proj"))
        return x, self._linear(product, own + "mlp.down_proj")


class Fused:
    """The loop around it, in buffers that stay where they are."""

    def __init__(self, graph, options, device):
        c = graph.config
        self.device, self.weight_bytes = device, graph.weight_bytes
        self.session = device.session(graph, options)
        self.binding = self.session.io_binding()
        self.id = device.array(np.zeros((1, 1), np.int64))
        self.output = device.array(np.zeros((1, 1, c.vocabulary), np.float32))
        self.last, self.total = device.array(np.zeros(1, np.int32)), np.zeros(1, np.int32)
        self.binding.bind_ortvalue_input("last", self.last)
        self.total_value = ort.OrtValue.ortvalue_from_numpy(self.total)  # read on the host
        self.binding.bind_ortvalue_input("total", self.total_value)
        self.binding.bind_ortvalue_output("id", self.id)
        self.binding.bind_ortvalue_output("logits", self.output)
        self._bind_cache(graph)

    def _bind_cache(self, graph):
        c = graph.config
        cache = np.zeros((1, c.kv_heads, graph.context, c.head_size), graph.dtype)
        self.kv_token_bytes = 2 * c.layers * cache[:, :, 0].nbytes
        self.cache = []
        for name in (f"{i}.{kind}" for i in range(c.layers) for kind in "kv"):
            self.cache.append(self.device.array(cache.copy()))
            self.binding.bind_ortvalue_input(f"past.{name}", self.cache[-1])
            self.binding.bind_ortvalue_output(f"present.{name}", self.cache[-1])

    def prompt(self, ids):
        """Begins a sequence."""
        self.binding.bind_ortvalue_input("ids", self.device.array(np.array([ids], np.int64)))
        self._run(len(ids))
        self.binding.bind_ortvalue_input("ids", self.id)

    def step(self):
        """Goes on by one token."""
        self._run(int(self.total[0]) + 1)

    def _run(self, total):
        self.total[0] = total
        self.last.update_inplace(self.total - 1)
        self.session.run_with_iobinding(self.binding)

    @property
    def logits(self):
        return self.output.numpy()[0, 0]

    @property
    def token(self):
        return int(self.id.numpy()[0, 0])

    @token.setter
    def token(self, token):
        self.id.update_inplace(np.array([[token]], np.int64))
