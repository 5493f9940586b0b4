"""An ONNX graph under construction, with the weights of a Llama file as its initialisers.

The weights stay out of the graph's protobuf, which may not be larger than 2 GB: the session takes them
from where they lie in memory.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

OPSET, IR_VERSION = 20, 10  # as torch.onnx.export writes them
CONTRIB = "com.microsoft"  # ONNX Runtime's own operators
EMBEDDING = "model.embed_tokens.weight"
ROWS_AT_ONCE = 256  # of a matrix, by a thread: turning all at once takes three times as long


def onnx_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def copied(pool, array, dtype, turned=False):
    """The array in a dtype, or turned from [out, in] to [in, out]. By rows on all cores: much of the time
    goes into memory that is touched for the first time."""
    result = np.empty(array.shape[::-1] if turned else array.shape, dtype)
    to = result.T if turned else result

    def copy(row):
        rows = array[row : row + ROWS_AT_ONCE]
        if rows.dtype == np.uint16:  # bfloat16: the upper half of a float32
            rows = (rows.astype(np.uint32) << 16).view(np.float32)
        to[row : row + ROWS_AT_ONCE] = rows

    list(pool.map(copy, range(0, len(array), ROWS_AT_ONCE)))
    return result


def weights_read(file, dtype, turned=False):
    """{name: array [out, in]}, the weights of a LlamaFile in a dtype, copied. Turned: [in, out], as MatMul
    takes them, but the embedding, which is there twice where it is the output matrix as well."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        weights = {
            name: copied(pool, tensor.array, dtype, turned and name != EMBEDDING)
            for name, tensor in file.tensors()
        }
        if turned and file.config.tied:
            weights["lm_head.weight"] = copied(pool, weights[EMBEDDING], dtype, turned)
    return weights


class Graph:
    """Nodes in the order in which they are asked for. What flows is known by its name."""

    def __init__(self):
        self.nodes, self.inputs, self.outputs, self.initialisers = [], [], [], []
        self.weights = {}

    def op(self, kind, *inputs, outputs=1, domain="", **attributes):
        """The name of what it computes, or a list of names. outputs: how many, or their names."""
        names = outputs
        if isinstance(outputs, int):
            names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, inputs, names, f"{kind}_{len(self.nodes)}", domain=domain)
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        self.nodes.append(node)
        return names[0] if len(names) == 1 else names

    def contrib(self, kind, *inputs, **attributes):
        return self.op(kind, *inputs, domain=CONTRIB, **attributes)

    def constant(self, value, dtype):
        """A small one, within the protobuf."""
        name, array = f"constant_{len(self.initialisers)}", np.asarray(value, dtype)
        kind = onnx_type(dtype)
        tensor = helper.make_tensor(name, kind, array.shape, array.tobytes(), raw=True)
        self.initialisers.append(tensor)
        return name

    def weight(self, name, array):
        tensor = TensorProto(name=name, dims=array.shape, data_type=onnx_type(array.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="memory")
        self.initialisers.append(tensor)
        self.weights[name] = array
        return name

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, onnx_type(dtype), shape))
        return name

    def output(self, name, dtype, shape):
        self.outputs.append(helper.make_tensor_value_info(name, onnx_type(dtype), shape))

    def model(self):
        """The protobuf."""
        graph = helper.make_graph(self.nodes, "llama", self.inputs, self.outputs, self.initialisers)
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
        return model.SerializeToString()

    def session(self, options, providers):
        """A session, or what keeps it from these providers: without `enable_fallback` ONNX Runtime does
        not try the CPU instead. It has packed or copied the weights, so they are let go."""
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in self.weights.values()]
        options.add_external_initializers(list(self.weights), values)
        session = ort.InferenceSession(self.model(), options, providers, enable_fallback=0)
        self.weights.clear()
        return session
