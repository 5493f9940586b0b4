/* prony model plan: the memory that models need, before they are there. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "cli/command.h"
#include "engine/form.h"
#include "engine/supports.h"
#include "fit/table.h"
#include "model/layout.h"
#include "model/synthetic.h"

struct plan_options {
    struct option_list framework, quantize, shard, context;
    const char *device;
    int64_t threads;
};

#define FIELD(name) offsetof(struct plan_options, name)

static const struct option options[] = {
    {.name = "framework",
     .letter = 'f',
     .kind = OPTION_LIST,
     .metavar = "NAME",
     .help = "Engines or variants (native-f32 native-f16).",
     .offset = FIELD(framework)},
    {.name = "quantize",
     .kind = OPTION_LIST,
     .metavar = "METHOD",
     .choices = "none int8 nf4 float16 q8_0",
     .help = "Ways to quantise; by default none, and int8 and nf4 where a variant can.",
     .offset = FIELD(quantize)},
    {.name = "shard",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Devices that a model is split over (1 2).",
     .offset = FIELD(shard)},
    {.name = "context",
     .kind = OPTION_LIST,
     .metavar = "N",
     .low = 1,
     .high = 100000000,
     .help = "Positions that the KV cache holds (2048 8192 32768 131072).",
     .offset = FIELD(context)},
    {.name = "device",
     .kind = OPTION_CHOICE,
     .choices = "cpu cuda",
     .help = "Whose memory: the machine's, or that of cards.",
     .offset = FIELD(device)},
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Threads of the engine; by default the cores that may be used.",
     .offset = FIELD(threads)},
    {0},
};

static const struct plan_options defaults = {.device = "cpu"};

static const char *const usual_models[] = {"llama3-1b", "llama3-8b", "llama3-70b", "llama3-405b"};
static const char *const usual_variants[] = {"native-f32", "native-f16"};
static const char *const usual_methods[] = {"none", "int8", "nf4"};
static const struct fit_lengths usual_shards = {{1, 2}, 2};
static const struct fit_lengths usual_contexts = {{2048, 8192, 32768, 131072}, 4};

static enum status lengths_read(struct fit_lengths *lengths, const struct option_list *list,
                                const struct fit_lengths *usual, const char *name,
                                struct error *err)
{
    *lengths = *usual;
    if (list->count > FIT_TABLE_LENGTHS) {
        error_set(err, STATUS_USAGE, "--%s takes %d values at most", name, FIT_TABLE_LENGTHS);
        return error_remedy(err, "Make two tables of it.");
    }
    for (size_t i = 0; i < list->count; i++)
        lengths->value[i] = (uint32_t)strtoul(list->items[i], NULL, 10);
    lengths->count = list->count ? list->count : usual->count;
    return STATUS_OK;
}

static void variant_rows(const struct fit_table *table, const struct plan_options *o,
                         const struct engine_variant *variant)
{
    const char *const *methods = o->quantize.count ? o->quantize.items : usual_methods;
    size_t count =
        o->quantize.count ? o->quantize.count : sizeof usual_methods / sizeof usual_methods[0];
    if (!variant->memory.cpu.known) {
        printf("%-22s what it keeps is not known: its engine.json does not say\n", variant->name);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *asked = form_asked(methods[i], 1).quantize;
        const char *method = asked ? form_method(variant, asked) : NULL;
        if (!method || supports_word(variant->quantize, method))
            fit_table_rows(table, variant, method, stdout);
        else if (o->quantize.count)
            printf("%-22s cannot quantise to %s\n", variant->name, methods[i]);
    }
}

static enum status framework_rows(const struct fit_table *table, const struct plan_options *o,
                                  const struct engine_catalogue *catalogue, const char *name,
                                  struct error *err)
{
    const struct engine *engine = engine_find(catalogue, name);
    const struct engine_variant *variant =
        engine ? NULL : engine_variant_find(catalogue, name, &engine);
    if (!engine) {
        error_set(err, STATUS_NOT_FOUND, "there is no engine or variant '%s'", name);
        return error_remedy(err, "'prony engines' lists those that are there.");
    }
    if (variant)
        variant_rows(table, o, variant);
    for (size_t i = 0; !variant && i < engine->variant_count; i++)
        if (engine->variants[i].by_default)
            variant_rows(table, o, &engine->variants[i]);
    return STATUS_OK;
}

static enum status table_print(const struct fit_table *table, const struct plan_options *o,
                               const struct engine_catalogue *catalogue, struct error *err)
{
    const char *const *names = o->framework.count ? o->framework.items : usual_variants;
    size_t count =
        o->framework.count ? o->framework.count : sizeof usual_variants / sizeof usual_variants[0];
    enum status status = STATUS_OK;
    fit_table_head(table, stdout);
    for (size_t i = 0; i < count && !status; i++)
        status = framework_rows(table, o, catalogue, names[i], err);
    putchar('\n');
    return status;
}

/* A shape by its name, else a model that is here. */
static enum status model_print(const struct fit_table *asked, const char *name,
                               const struct plan_options *o,
                               const struct engine_catalogue *catalogue, struct error *err)
{
    struct model_config shape;
    struct model model = {0};
    struct fit_table table = *asked;
    bool known = synthetic_shape(name, &shape);
    enum status status = known ? STATUS_OK : model_open(&model, name, err);
    if (status == STATUS_NOT_FOUND)
        error_remedy(err, "Give a model's path, or one of llama3-1b, llama3-8b, llama3-70b, "
                          "llama3-405b.");
    if (status)
        return status;
    table.name = known ? name : model.name;
    table.config = known ? &shape : &model.config;
    table.parameters = known ? layout_parameters(&shape) : model.parameters;
    table.stored_bytes = known ? 2 * table.parameters : model.weight_bytes;
    status = table_print(&table, o, catalogue, err);
    model_close(&model);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    const struct plan_options *o = given;
    struct engine_catalogue catalogue = {0};
    struct fit_table table = {0};
    struct error err;
    struct cores cores;
    cores_read(&cores);
    table.card = strcmp(o->device, "cuda") == 0;
    table.threads = o->threads ? (uint32_t)o->threads : cores.count;
    enum status status =
        lengths_read(&table.contexts, &o->context, &usual_contexts, "context", &err);
    if (!status)
        status = lengths_read(&table.shards, &o->shard, &usual_shards, "shard", &err);
    table.shards_asked = o->shard.count > 0;
    if (!status)
        status = engine_catalogue_open(&catalogue, &err);
    const char *const *names = args->count ? args->items : usual_models;
    size_t count = args->count ? args->count : sizeof usual_models / sizeof usual_models[0];
    for (size_t i = 0; i < count && !status; i++)
        status = model_print(&table, names[i], o, &catalogue, &err);
    if (!status)
        fit_table_free(stdout);
    engine_catalogue_close(&catalogue);
    return status ? command_fail(&err) : EXIT_PASS;
}

const struct command command_model_plan = {
    .name = "model plan",
    .summary = "Tells the memory that models need, before they are there.",
    .positional = "[MODEL ...]",
    .max_args = 64,
    .options = options,
    .options_bytes = sizeof(struct plan_options),
    .defaults = &defaults,
    .details = "MODEL is a shape (llama3-1b, llama3-8b, llama3-70b, llama3-405b; all of them by "
               "default) or the path of a model. Weights, KV cache and working space are added up, "
               "on each of the devices; - is a context that the model was not made for. The same "
               "figures decide, before anything is loaded, whether 'prony bench', 'prony' and "
               "'prony engines run' begin.\n\n"
               "Examples:\n\n"
               "  prony model plan\n"
               "  prony model plan llama3-70b --shard 1 2 4 8 --context 8192\n"
               "  prony model plan model.gguf --framework native pytorch",
    .run = run,
};
