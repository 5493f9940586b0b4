#include "cli/bench_options.h"

#include <stddef.h>
#include <stdlib.h>

#include "cli/form_options.h"
#include "cli/memory_option.h"

#define FIELD(name) offsetof(struct bench_options, name)

const struct bench_options bench_defaults = {
    .redo = true, .fair_comparison = true, .memory_check = true};

const struct option bench_option_table[] = {
    {.name = "model-path",
     .letter = 'm',
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "The model: a GGUF file, or a folder with one or with safetensors. Required, unless "
             "--resume says it.",
     .offset = FIELD(model_path),
     .group = "What to measure"},
    {.name = "framework",
     .letter = 'f',
     .kind = OPTION_LIST,
     .metavar = "NAME",
     .help = "Engines or variants (native, native-f16); by default all that are installed.",
     .offset = FIELD(framework)},
    {.name = "model-type",
     .kind = OPTION_CHOICE,
     .choices = "llama gpt",
     .help = "The type that the model must have; it is an error when it is of another.",
     .offset = FIELD(model_type)},
    {.name = "device",
     .kind = OPTION_STRING,
     .metavar = "DEVICE",
     .help = "Where the models run: cpu (the default), cuda or cuda:N.",
     .offset = FIELD(device)},
    OPTION_QUANTIZE(OPTION_LIST, FIELD(quantize), "; several (none among them): a column each"),
    OPTION_SHARD(OPTION_LIST, FIELD(shard), "; several: a column each"),
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Threads for all engines; by default the cores that may be used.",
     .offset = FIELD(threads)},
    OPTION_MEMORY_CHECK(FIELD(memory_check)),
    {.name = "fair-comparison",
     .kind = OPTION_FLAG,
     .negatable = true,
     .help = "The same threads and context for all; without it, what each engine has by itself.",
     .offset = FIELD(fair_comparison)},
    {.name = "pytorch-no-compile",
     .kind = OPTION_FLAG,
     .help = "pytorch-opt without torch.compile: what compilation brings.",
     .offset = FIELD(pytorch_no_compile)},
    {.name = "pytorch-no-half",
     .kind = OPTION_FLAG,
     .help = "pytorch-opt in float32: what the precision brings.",
     .offset = FIELD(pytorch_no_half)},
    {.name = "iterations",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Decode steps that count, in each process (20).",
     .offset = FIELD(iterations),
     .group = "How much"},
    {.name = "warmup",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Decode steps before them that do not count (8).",
     .offset = FIELD(warmup)},
    {.name = "blocks",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 10000,
     .help = "Times that each variant is started (6 when several are compared, else 3).",
     .offset = FIELD(blocks)},
    {.name = "quick",
     .kind = OPTION_FLAG,
     .help = "One block: a first look, without verdicts.",
     .offset = FIELD(quick)},
    {.name = "control",
     .kind = OPTION_FLAG,
     .help = "Run one variant twice: what it differs from itself by is no difference (A/A).",
     .offset = FIELD(control)},
    {.name = "redo",
     .kind = OPTION_FLAG,
     .negatable = true,
     .help = "Do a block again, twice at most, when something outside disturbed it (on).",
     .offset = FIELD(redo)},
    {.name = "cold",
     .kind = OPTION_FLAG,
     .help = "Also start each variant with the model out of the page cache, and with an empty "
             "compile cache.",
     .offset = FIELD(cold)},
    {.name = "prompt-tokens",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 1000000,
     .help = "Length of the prompt (64); several: the first is the run's, the others a sweep.",
     .offset = FIELD(prompt_tokens)},
    {.name = "context",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the KV cache holds; by default what the run needs, rounded "
             "up. Several: a sweep.",
     .offset = FIELD(context)},
    {.name = "gate-context",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the equivalence gate covers (128); beyond a model's original context, "
             "to see that its rope scaling is right.",
     .offset = FIELD(gate_context)},
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_LIST,
     .metavar = "FILE",
     .help = "Also write the results to files: .json, .csv, .samples.csv, .points.csv, .md, .html.",
     .offset = FIELD(output),
     .group = "What comes out"},
    {.name = "wide",
     .kind = OPTION_FLAG,
     .help = "Show every metric, with its interval.",
     .offset = FIELD(wide)},
    {.name = "dry-run",
     .kind = OPTION_FLAG,
     .help = "Show what would be run, and stop.",
     .offset = FIELD(dry_run)},
    {.name = "resume",
     .kind = OPTION_FLAG,
     .help = "Go on with the newest run that did not come to its end.",
     .offset = FIELD(resume)},
    {0},
};

enum status bench_options_check(const struct bench_options *o, struct error *err)
{
    if (o->quick && o->blocks > 1) {
        error_set(err, STATUS_USAGE, "--quick is one block, --blocks asks for %lld",
                  (long long)o->blocks);
        return error_remedy(err, "Leave one of them out.");
    }
    if (!o->fair_comparison && (o->threads || o->context.count)) {
        error_set(err, STATUS_USAGE,
                  "--no-fair-comparison leaves threads and context to each engine");
        return error_remedy(err, "Leave --threads and --context out, or compare fairly.");
    }
    return STATUS_OK;
}

/* Lengths as they were given, each once; those of a stored run where none were. */
static enum status lengths_read(struct plan_lengths *lengths, const struct option_list *list,
                                const char *name, struct error *err)
{
    if (list->count > PLAN_LENGTHS) {
        error_set(err, STATUS_USAGE, "--%s takes %d values at most", name, PLAN_LENGTHS);
        return error_remedy(err, "Make two runs of it.");
    }
    if (list->count)
        lengths->count = 0;
    for (size_t i = 0; i < list->count; i++) {
        uint32_t value = (uint32_t)strtoul(list->items[i], NULL, 10);
        bool seen = false;
        for (size_t j = 0; j < lengths->count; j++)
            seen = seen || lengths->value[j] == value;
        if (!seen)
            lengths->value[lengths->count++] = value;
    }
    return STATUS_OK;
}

enum status bench_request_overlay(struct plan_request *request, const struct bench_options *o,
                                  struct error *err)
{
    if (o->framework.count) {
        request->frameworks = o->framework.items;
        request->framework_count = o->framework.count;
    }
    request->model_path = o->model_path ? o->model_path : request->model_path;
    request->model_type = o->model_type ? o->model_type : request->model_type;
    request->device = o->device ? o->device : request->device;
    request->quantize = o->quantize.items;
    request->quantize_count = o->quantize.count;
    request->iterations = o->iterations ? (uint32_t)o->iterations : request->iterations;
    request->warmup = o->warmup ? (uint32_t)o->warmup : request->warmup;
    request->blocks = o->quick ? 1 : o->blocks ? (uint32_t)o->blocks : request->blocks;
    request->control = o->control || request->control;
    request->no_redo = !o->redo || request->no_redo;
    request->no_memory_check = !o->memory_check;
    request->own_defaults = !o->fair_comparison || request->own_defaults;
    request->pytorch_no_compile = o->pytorch_no_compile;
    request->pytorch_no_half = o->pytorch_no_half;
    request->threads = o->threads ? (uint32_t)o->threads : request->threads;
    request->gate_context = o->gate_context ? (uint32_t)o->gate_context : request->gate_context;
    request->cold = o->cold || request->cold;
    enum status status = lengths_read(&request->context, &o->context, "context", err);
    if (!status)
        status = lengths_read(&request->shard, &o->shard, "shard", err);
    return status ? status
                  : lengths_read(&request->prompt_tokens, &o->prompt_tokens, "prompt-tokens", err);
}
