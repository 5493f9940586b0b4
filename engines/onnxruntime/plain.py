"""A Llama model of ONNX's standard operators, as an export of transformers' has them.

The keys and values of all earlier positions go in, and come out with the new ones behind them. The
logits are fetched, and the next id is chosen on the host.
"""

import numpy as np
from graph import Graph, weights_read


class PlainGraph(Graph):
    def __init__(self, file):
        super().__init__()
        self.config, self.arrays = file.config, weights_read(file, np.float32, turned=True)
        self.weight_bytes = sum(array.nbytes for array in self.arrays.values())
        if self.config.tied:  # as exports have it
            self.weight_bytes -= self.arrays["lm_head.weight"].nbytes
        ids = self.input("input_ids", "int64", [1, "tokens"])
        positions = self.input("position_ids", "int64", [1, "tokens"])
        x = self.op("Gather", self._take("model.embed_tokens"), ids)
        self.rope, self.mask = self._rope(positions), None
        for i in range(self.config.layers):
            x = self._layer(x, i, positions)
        x = self._norm(x, "model.norm")
        x = self.op("Gather", x, self.constant([-1], "int64"), axis=1)  # the last token's
        self._linear(x, "lm_head", outputs=["logits"])
        self.output("logits", "float32", [1, 1, self.config.vocabulary])

    def _take(self, name):
        name += ".weight"
        return self.weight(name, self.arrays.pop(name))

    def _linear(self, x, name, **outputs):
        return self.op("MatMul", x, self._take(name), **outputs)

    def _norm(self, x, name):
        two, eps = self.constant(2, "float32"), self.constant(self.config.norm_eps, "float32")
        mean = self.op("ReduceMean", self.op("Pow", x, two), self.constant([-1], "int64"))
        root = self.op("Sqrt", self.op("Add", mean, eps))
        return self.op("Mul", self.op("Div", x, root), self._take(name))

    def _rope(self, positions):
        """cos and sin, [1, 1, tokens, head_size]."""
        frequencies = self.constant(self.config.rope_frequencies, "float32")
        axes = self.constant([1, 3], "int64")
        places = self.op("Unsqueeze", self.op("Cast", positions, to=1), axes)
        angles = self.op("Mul", places, frequencies)
        angles = self.op("Concat", angles, angles, axis=-1)
        return self.op("Cos", angles), self.op("Sin", angles)

    def _rotate(self, x):
        first, second = self.op("Split", x, axis=-1, num_outputs=2, outputs=2)
        turned = self.op("Concat", self.op("Neg", second), first, axis=-1)
        cos, sin = self.rope
        return self.op("Add", self.op("Mul", x, cos), self.op("Mul", turned, sin))

    def _mask(self, keys, positions):
        """[1, 1, tokens, positions]: 0 where a token may look, else the least float32."""
        length = self.op("Shape", keys, start=2, end=3)
        zero, one = self.constant(0, "int64"), self.constant(1, "int64")
        every = self.op("Range", zero, self.op("Squeeze", length), one)
        own = self.op("Unsqueeze", positions, self.constant([1, 3], "int64"))
        least = self.constant(np.finfo(np.float32).min, "float32")
        return self.op(
            "Where", self.op("LessOrEqual", every, own), self.constant(0, "float32"), least
        )

    def _heads(self, x, count):
        shape = self.constant([1, -1, count, self.config.head_size], "int64")
        return self.op("Transpose", self.op("Reshape", x, shape), perm=[0, 2, 1, 3])

    def _cached(self, new, kind, i):
        """Everything up to now, as it leaves the graph too."""
        c = self.config
        past = f"past_key_values.{i}.{kind}"
        self.input(past, "float32", [1, c.kv_heads, "past", c.head_size])
        present = self.op("Concat", past, new, axis=2, outputs=[f"present.{i}.{kind}"])
        self.output(present, "float32", [1, c.kv_heads, "total", c.head_size])
        return present

    def _repeat(self, x):
        """Each head for all the queries' heads that share it."""
        c = self.config
        group = self.constant([1, 1, c.heads // c.kv_heads, 1, 1], "int64")
        x = self.op("Expand", self.op("Unsqueeze", x, self.constant([2], "int64")), group)
        return self.op("Reshape", x, self.constant([1, c.heads, -1, c.head_size], "int64"))

    def _attention(self, x, i, positions):
        c, own = self.config, f"model.layers.{i}.self_attn."
        q = self._rotate(self._heads(self._linear(x, own + "q_proj"), c.heads))
        k = self._rotate(self._heads(self._linear(x, own + "k_proj"), c.kv_heads))
        v = self._heads(self._linear(x, own + "v_proj"), c.kv_heads)
        k, v = self._cached(k, "key", i), self._cached(v, "value", i)
        self.mask = self.mask or self._mask(k, positions)
        scores = self.op("MatMul", q, self.op("Transpose", self._repeat(k), perm=[0, 1, 3, 2]))
        scores = self.op("Mul", scores, self.constant(c.head_size**-0.5, "float32"))
        shares = self.op("Softmax", self.op("Add", scores, self.mask), axis=-1)
        y = self.op("Transpose", self.op("MatMul", shares, self._repeat(v)), perm=[0, 2, 1, 3])
        flat = self.constant([1, -1, c.heads * c.head_size], "int64")
        return self._linear(self.op("Reshape", y, flat), own + "o_proj")

    def _layer(self, x, i, positions):
        own = f"model.layers.{i}."
        normed = self._norm(x, own + "input_layernorm")
        x = self.op("Add", x, self._attention(normed, i, positions))
        normed = self._norm(x, own + "post_attention_layernorm")
        gate = self._linear(normed, own + "mlp.gate_proj")
        gate = self.op("Mul", gate, self.op("Sigmoid", gate))
        product = self.op("Mul", gate, self._linear(normed, own + "mlp.up_proj"))
        return self.op("Add", x, self._linear(product, own + "mlp.down_proj"))


class Plain:
    """The loop around it: what comes out is what goes in next."""

    def __init__(self, graph, options, device):
        c = graph.config
        self.device, self.weight_bytes = device, graph.weight_bytes
        self.session = device.session(graph, options)
        self.cache = [(i, kind) for i in range(c.layers) for kind in ("key", "value")]
        self.empty = device.array(np.zeros((1, c.kv_heads, 0, c.head_size), np.float32))
        self.kv_token_bytes = len(self.cache) * c.kv_heads * c.head_size * 4

    def prompt(self, ids):
        """Begins a sequence."""
        self.past, self.position = [self.empty] * len(self.cache), 0
        self._run(ids)

    def step(self):
        """Goes on by one token."""
        self._run([self.token])

    def _run(self, ids):
        places = np.arange(self.position, self.position + len(ids))
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
        binding.bind_cpu_input("position_ids", places[None])
        for (i, kind), value in zip(self.cache, self.past):
            binding.bind_ortvalue_input(f"past_key_values.{i}.{kind}", value)
        binding.bind_output("logits", "cpu")
        for i, kind in self.cache:
            binding.bind_output(f"present.{i}.{kind}", self.device.type, self.device.index)
        self.session.run_with_iobinding(binding)
        logits, *self.past = binding.get_outputs()
        self.logits = logits.numpy()[0, 0]
        self.token = int(self.logits.argmax())
        self.position += len(ids)
