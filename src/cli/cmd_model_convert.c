/* prony model convert: another format, another precision. */
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/model_output_options.h"
#include "cli/model_precision.h"
#include "cli/model_progress.h"
#include "model/convert.h"

struct convert_options {
    const char *output, *format, *precision;
    int64_t threads;
    double part_gb;
};

#define FIELD(name) offsetof(struct convert_options, name)

static const struct option options[] = {
    OPTION_MODEL_OUTPUT(FIELD(output)),
    {.name = "precision",
     .kind = OPTION_CHOICE,
     .choices = PRECISION_NAMES,
     .help = "How weights are stored; by default as they are, and float16 for block formats.",
     .offset = FIELD(precision)},
    OPTION_MODEL_FORMAT(FIELD(format)),
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = 256,
     .help = "Threads that convert; 0 is all cores.",
     .offset = FIELD(threads)},
    OPTION_MODEL_PART_GB(FIELD(part_gb)),
    {0},
};

static enum status convert(const struct convert_options *o, const struct model *model,
                           struct error *note, struct error *err)
{
    struct model_progress progress;
    struct model_output output = {.path = o->output, .threads = (uint32_t)o->threads};
    uint64_t bytes;
    output.precision =
        o->precision ? model_precision_parse(o->precision) : convert_precision(model);
    enum status status = model_output_format(o->output, o->format, &output.format, err);
    if (!status)
        status = model_output_parts(&output, o->part_gb, err);
    if (status)
        return status;
    output.progress = model_progress_start(&progress, "Converting");
    status = model_convert(model, &output, &bytes, note, err);
    model_progress_end(&progress);
    if (!status)
        model_progress_summary(&progress, o->output, bytes);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct error err, note = {.status = STATUS_OK};
    struct model model;
    enum status status = model_open(&model, args->items[0], &err);
    if (!status) {
        status = convert(given, &model, &note, &err);
        model_close(&model);
    }
    if (status) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    if (note.status)
        fprintf(stderr, "Note: the tokenizer was left out: %s (%s)\n", note.what, note.where);
    return EXIT_PASS;
}

const struct command command_model_convert = {
    .name = "model convert",
    .summary = "Writes a model in another format or precision.",
    .positional = "MODEL",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .options_bytes = sizeof(struct convert_options),
    .details = "Weights in block formats (Q4_K and the like) are dequantised. Tokenizer, chat "
               "template and rope scaling come along. The model is never in memory as a whole.\n\n"
               "Examples:\n\n"
               "  prony model convert model.gguf --precision float16 --output model.F16.gguf\n"
               "  prony model convert model.gguf --output folder\n"
               "  prony model convert folder --precision float32 --output model.F32.gguf",
    .run = run,
};
