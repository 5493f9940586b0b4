/* prony model make: a synthetic model. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/model_output_options.h"
#include "cli/model_precision.h"
#include "cli/model_progress.h"
#include "model/synthetic.h"

struct make_options {
    const char *output, *size, *format, *precision, *rope_scaling;
    int64_t seed, threads;
    int64_t layers, hidden, heads, kv_heads, head_size, ffn, vocabulary,
        context;      /* 0: the size's */
    double rope_base; /* 0: as well */
    double part_gb;
    bool tied, untied;
};

#define FIELD(name) offsetof(struct make_options, name)

static const struct option options[] = {
    OPTION_MODEL_OUTPUT(FIELD(output)),
    {.name = "size",
     .kind = OPTION_CHOICE,
     .choices = SYNTHETIC_SIZES,
     .help = "The shape to start from: Llama 3.2 1B, Llama 3 8B, Llama 3.1 70B or 405B, or one for "
             "tests.",
     .offset = FIELD(size)},
    {.name = "precision",
     .kind = OPTION_CHOICE,
     .choices = PRECISION_NAMES,
     .help = "How weights are stored.",
     .offset = FIELD(precision)},
    OPTION_MODEL_FORMAT(FIELD(format)),
    {.name = "seed",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = 9e15,
     .help = "Another seed is another model; the same seed the same one, in every format.",
     .offset = FIELD(seed)},
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = 256,
     .help = "Threads that compute values; 0 is all cores.",
     .offset = FIELD(threads)},
    OPTION_MODEL_PART_GB(FIELD(part_gb)),
    {.name = "layers",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Transformer blocks.",
     .offset = FIELD(layers),
     .group = "Shape"},
    {.name = "hidden",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 2,
     .high = 1 << 20,
     .help = "Width of the residual stream.",
     .offset = FIELD(hidden)},
    {.name = "heads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 4096,
     .help = "Query heads.",
     .offset = FIELD(heads)},
    {.name = "kv-heads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 4096,
     .help = "Key and value heads; divides the number of query heads.",
     .offset = FIELD(kv_heads)},
    {.name = "head-size",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 2,
     .high = 1024,
     .help = "Width of a head; by default the hidden width over the heads.",
     .offset = FIELD(head_size)},
    {.name = "ffn",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1 << 22,
     .help = "Width inside the feed-forward blocks.",
     .offset = FIELD(ffn)},
    {.name = "vocabulary",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = TOKEN_LIST_LEAST,
     .high = 1 << 22,
     .help = "Tokens.",
     .offset = FIELD(vocabulary)},
    {.name = "context",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1 << 24,
     .help = "Positions that the model says it is for.",
     .offset = FIELD(context)},
    {.name = "rope-base",
     .kind = OPTION_NUMBER,
     .metavar = "F",
     .low = 1,
     .high = 1e12,
     .help = "Base of the rotary frequencies.",
     .offset = FIELD(rope_base)},
    {.name = "rope-scaling",
     .kind = OPTION_CHOICE,
     .choices = "none llama3",
     .help = "Llama 3's scaling of the rotary frequencies; by default as the size has it.",
     .offset = FIELD(rope_scaling)},
    {.name = "tied",
     .kind = OPTION_FLAG,
     .help = "The output matrix is the embedding.",
     .offset = FIELD(tied)},
    {.name = "untied",
     .kind = OPTION_FLAG,
     .help = "The output matrix is one of its own.",
     .offset = FIELD(untied)},
    {0},
};

static const struct make_options defaults = {.size = "tiny", .precision = "float16", .seed = 1};

static void override(uint32_t *value, int64_t option)
{
    if (option)
        *value = (uint32_t)option;
}

static enum status config_choose(const struct make_options *o, struct model_config *config,
                                 struct error *err)
{
    if (o->tied && o->untied)
        return error_set(err, STATUS_USAGE, "--tied and --untied contradict each other");
    synthetic_shape(o->size, config);
    override(&config->layers, o->layers);
    override(&config->hidden_size, o->hidden);
    override(&config->heads, o->heads);
    override(&config->kv_heads, o->kv_heads);
    override(&config->ffn_size, o->ffn);
    override(&config->vocabulary, o->vocabulary);
    override(&config->context, o->context);
    if (o->head_size) {
        config->head_size = (uint32_t)o->head_size;
    } else if (config->hidden_size % config->heads != 0) {
        error_set(err, STATUS_USAGE, "the hidden width, %u, is not a multiple of the heads, %u",
                  config->hidden_size, config->heads);
        return error_remedy(err, "Give --head-size.");
    } else {
        config->head_size = config->hidden_size / config->heads;
    }
    if (o->rope_base > 0)
        config->rope_base = (float)o->rope_base;
    if (o->rope_scaling && strcmp(o->rope_scaling, "none") == 0)
        config->rope = (struct rope_scaling){0};
    else if (o->rope_scaling && config->rope.kind == ROPE_SCALING_NONE)
        synthetic_scale_rope(config);
    config->tied = (config->tied || o->tied) && !o->untied;
    return synthetic_check(config, err);
}

static int run(const void *given, const struct option_list *args)
{
    const struct make_options *o = given;
    struct error err;
    struct model_config config;
    struct model_progress progress;
    struct model_output output = {.path = o->output,
                                  .precision = model_precision_parse(o->precision),
                                  .threads = (uint32_t)o->threads};
    char name[64];
    uint64_t bytes;
    (void)args;
    enum status status = model_output_format(o->output, o->format, &output.format, &err);
    if (!status)
        status = model_output_parts(&output, o->part_gb, &err);
    if (!status)
        status = config_choose(o, &config, &err);
    if (!status) {
        snprintf(name, sizeof name, "Synthetic %s, seed %" PRId64, o->size, o->seed);
        output.progress = model_progress_start(&progress, "Making");
        status = synthetic_write(&config, name, (uint64_t)o->seed, &output, &bytes, &err);
        model_progress_end(&progress);
    }
    if (status) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    model_progress_summary(&progress, o->output, bytes);
    return EXIT_PASS;
}

const struct command command_model_make = {
    .name = "model make",
    .summary = "Makes a synthetic model: a real shape, made-up weights, a usable tokenizer.",
    .options = options,
    .options_bytes = sizeof(struct make_options),
    .defaults = &defaults,
    .details = "Timing does not depend on the values of the weights, so a synthetic model measures "
               "what a real one of its shape would.\n\n"
               "Examples:\n\n"
               "  prony model make --size 1b --output llama-1b.gguf\n"
               "  prony model make --size 1b --precision bfloat16 --output llama-1b\n"
               "  prony model make --size 70b --part-gb 5 --output llama-70b\n"
               "  prony model make --size tiny --layers 4 --rope-scaling llama3 -o test.gguf",
    .run = run,
};
