"""A Llama model in tinygrad, for one sequence, in the form of tinygrad's own llm app.

Prompts go through in chunks and decoding token by token, each with its own TinyJit, whose start position
is a symbolic variable: captured once, they serve every position. Weights are float16, or packed in fewer
bits (packed.py), what is computed with them float32, keys and values float16.

tinygrad reads its settings from the environment when it is imported: set them before this module is.
"""

import numpy as np
from packed import LAYERS, NF4Linear, held
from prony_model.quantise import CODE
from prony_model.shards import split_axis
from tinygrad import Context, Device, Tensor, TinyJit, UOp, dtypes, function, nn
from tinygrad.device import Buffer
from tinygrad.uop.ops import resolve

CHUNK = 32  # tokens of a prompt at once, as in the app


def device_open(name):
    """tinygrad's own name for "CPU" or "CUDA:1", if it can be used; whatever its drivers say if not."""
    device = Device.canonicalize(name)
    Device[device].synchronize()
    return device


def fill(buffer, array):
    """Copies a contiguous array into a buffer that has its place."""
    if hasattr(buffer, "copyin"):  # 0.13
        buffer.copyin(array.data)
    else:  # 0.14
        source = Buffer("NPY", array.size, buffer.dtype)
        buffer.copy_from(source.allocate(array))


def bytes_of(state):
    """On all devices together: what is not split is on each of them."""
    tensors = {id(tensor): tensor for tensor in state.values()}.values()
    return sum(t.nbytes() * (1 if is_split(t) else device_count(t)) for t in tensors)


def is_split(tensor):
    return tensor.uop.axis is not None


def device_count(tensor):
    return len(tensor.device) if isinstance(tensor.device, tuple) else 1


def axis_of(place, array):
    """Along which axis a weight, or its scales, is split. None: it is whole on each device, as norms
    are, and scales of rows whose columns are split."""
    axis = split_axis(place.replace(".scale", ".weight"))
    return None if place.endswith("norm.weight") or axis >= array.ndim else axis


def rotate(x, rope):
    """Rope by halves. x: [1, heads, tokens, head_size]; rope: [tokens, head_size], cos then sin."""
    cos, sin = rope.reshape(1, 1, *rope.shape).chunk(2, dim=-1)
    first, second = x.chunk(2, dim=-1)
    return (first * cos - second * sin).cat(second * cos + first * sin, dim=-1)


class Attention:
    def __init__(self, config, linear):
        q, kv = config.heads * config.head_size, config.kv_heads * config.head_size
        self.heads, self.kv_heads, self.head_size = config.heads, config.kv_heads, config.head_size
        self.q_proj = linear(config.hidden_size, q, bias=False)
        self.k_proj = linear(config.hidden_size, kv, bias=False)
        self.v_proj = linear(config.hidden_size, kv, bias=False)
        self.o_proj = linear(q, config.hidden_size, bias=False)

    def __call__(self, x, start):
        tokens = x.shape[1]
        q, k, v = (
            proj(x).reshape(1, tokens, heads, self.head_size).transpose(1, 2)
            for proj, heads in (
                (self.q_proj, self.heads),
                (self.k_proj, self.kv_heads),
                (self.v_proj, self.kv_heads),
            )
        )
        rope = self.rope[start : start + tokens]
        new = Tensor.stack(rotate(k, rope), v).cast(self.cache.dtype)
        # A store into the cache, and the cache after it: `assign` within a function is not supported.
        store = self.cache[:, :, :, start : start + tokens, :].uop.store(new.uop)
        cache = Tensor(self.cache.uop.after(store))[:, :, :, 0 : start + tokens, :]
        mask = None
        if resolve(tokens != 1):
            mask = Tensor.full((1, 1, tokens, start + tokens), float("-inf"), buffer=False)
            mask = mask.cast(x.dtype).triu(start + 1)
        y = rotate(q, rope).scaled_dot_product_attention(
            cache[0], cache[1], attn_mask=mask, enable_gqa=True
        )
        return self.o_proj(y.transpose(1, 2).reshape(1, tokens, self.heads * self.head_size))


class FeedForward:
    def __init__(self, config, linear):
        self.gate_proj = linear(config.hidden_size, config.ffn_size, bias=False)
        self.up_proj = linear(config.hidden_size, config.ffn_size, bias=False)
        self.down_proj = linear(config.ffn_size, config.hidden_size, bias=False)

    def __call__(self, x):
        # As a kernel of its own, the product is computed once, not for every row of down_proj.
        return self.down_proj(self.gate_proj(x).silu().contiguous() * self.up_proj(x))


class Layer:
    def __init__(self, config, linear):
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.self_attn = Attention(config, linear)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = FeedForward(config, linear)

    def __call__(self, x, start):
        @function(precompile=True, allow_implicit=True)  # the kernels of one layer serve all
        def run(x, start):
            h = x + self.self_attn(self.input_layernorm(x), start)
            return (h + self.mlp(self.post_attention_layernorm(h))).contiguous()

        return run(x, start)


class Llama:
    def __init__(self, config, quantize):
        linear, embedding, output = LAYERS[quantize]
        self.embed_tokens = embedding(config.vocabulary, config.hidden_size)
        self.layers = [Layer(config, linear) for _ in range(config.layers)]
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.lm_head = output(config.hidden_size, config.vocabulary, bias=False)
        if config.tied:
            self.lm_head.__dict__.update(self.embed_tokens.__dict__)

    @classmethod
    def read(cls, file, context, devices, dtype, quantize):
        """The model of a LlamaFile, with weights and cache of a numpy dtype, or quantised weights; split
        over the devices if there are several."""
        config, model = file.config, cls(file.config, quantize)
        model.context, model.devices, model.split = context, devices, len(devices) > 1
        NF4Linear.code = model.put(CODE)
        places = nn.state.get_state_dict(model)
        for name, tensor in file.tensors():
            for place, array in held(name, tensor, dtype, quantize):
                places[place].replace(model.put(array, axis_of(place, array)))
            model.free_unused()
        model.make_variables()
        # Angles are float32, whatever the weights are.
        angles = np.arange(model.room, dtype=np.float32)[:, None] * config.rope_frequencies
        rope = model.put(np.concatenate([np.cos(angles), np.sin(angles)], axis=1))
        shape = (2, 1, config.kv_heads, model.room, config.head_size)
        for layer in model.layers:
            layer.self_attn.rope = rope
            layer.self_attn.cache = model.put(np.zeros(shape, dtype), axis=2)
        model.weight_bytes = bytes_of(places)
        model.embedding_bytes = (
            0 if config.tied else bytes_of(nn.state.get_state_dict(model.embed_tokens))
        )
        model.forget_kernels()
        model.free_unused()
        return model

    def free_unused(self):
        """What tinygrad would use again: copies of weights on their way."""
        for device in self.devices:
            Device[device].synchronize()
            Device[device].allocator.free_cache()

    def make_variables(self):
        """tinygrad's sums over devices are wrong for a length that is symbolic. So the last chunk of a
        split model is filled up, and the cache has room for that."""
        chunk = min(CHUNK, self.context)
        self.room = self.context + (chunk if self.split else 0)
        self.start = UOp.variable("start_pos", 0, self.context - 1)
        self.count = UOp.variable("toks", 1, chunk)
        self.last = UOp.variable("last", 0, chunk - 1)
        # tinygrad makes CUDA graphs with all variables 0, and a launch of 0 tokens is an error. So the
        # kernels of a prompt are replayed one by one there (2), as a graph elsewhere (1).
        on_gpu = self.devices[0].startswith("CUDA")
        self.prompt_graph = 2 if on_gpu and not self.split else 1

    def put(self, array, axis=None):
        """On the device; on several of them cut along an axis, or whole on each. Copied into its buffer,
        since tinygrad's own way, a schedule for each tensor, looks through all tensors that there are
        every time, and has the whole on the first device where it is to be cut, and the parts twice."""
        count, dtype = len(self.devices), getattr(dtypes, array.dtype.name)
        parts = [array] * count if axis is None else np.split(array, count, axis)
        device = self.devices if self.split else self.devices[0]
        held = Tensor.empty(*parts[0].shape, device=device, dtype=dtype)
        buffers = held.uop.buffer.bufs if self.split else [held.uop.buffer]
        for buffer, part in zip(buffers, parts, strict=True):
            fill(buffer.ensure_allocated(), np.ascontiguousarray(part))
        return Tensor(held.uop.unshard(axis)) if self.split and axis is not None else held

    def fetch(self, tensor):
        """The numpy array of what was computed. tinygrad itself reads a tensor of several devices by way of
        its CPU device, which needs clang, whatever computed it."""
        if not self.split:
            return tensor.numpy()
        parts = tensor.uop.buffer.bufs
        if not is_split(tensor):
            return parts[0].numpy().reshape(tensor.shape)
        arrays = [part.numpy().reshape(tensor.uop.shard_shape) for part in parts]
        return np.concatenate(arrays, tensor.uop.axis)

    def forget_kernels(self):
        self.prompt_jit, self.step_jit = TinyJit(self.forward), TinyJit(self.forward)

    def forward(self, tokens, start, last=None):
        """The next id [1, 1] and the logits [1, vocabulary] after the last of tokens, or another."""
        x = self.embed_tokens(tokens).cast(dtypes.float32)
        for layer in self.layers:
            x = layer(x, start)
        if last is None:
            last = x.shape[1] - 1  # symbolic for a prompt; 0.13 takes no x[:, -1:] of one
        logits = self.lm_head(self.norm(x[:, last : last + 1])).reshape(1, -1)
        logits = logits.cast(dtypes.float32).contiguous()
        return logits.argmax(-1, keepdim=True).cast(dtypes.int32), logits

    def prompt(self, ids):
        """Begins a sequence."""
        row = np.zeros((1, self.room), np.int32)
        row[0, : len(ids)] = ids
        row = self.put(row)
        chunk = self.count.vmax
        for at in range(0, len(ids), chunk):
            start, tokens = self.start.bind(at), min(chunk, len(ids) - at)
            count = chunk if self.split else self.count.bind(tokens)
            last = (self.last.bind(tokens - 1),) if self.split else ()
            with Context(JIT=self.prompt_graph):
                out = self.prompt_jit(row[:, start : start + count].contiguous(), start, *last)
        return out

    def step(self, token, position):
        """Goes on by one token [1, 1]."""
        return self.step_jit(token, self.start.bind(position))
