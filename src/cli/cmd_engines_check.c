/* prony engines check: does an engine keep to the protocol, and to what it declares? */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "bench/form_reference.h"
#include "bench/prompt.h"
#include "cli/command.h"
#include "cli/engine_named.h"
#include "engine/conformance.h"
#include "engine/supports.h"
#include "fit/copy.h"
#include "machine/gpu.h"
#include "model/model.h"
#include "model/quantisable.h"
#include "model/shards.h"
#include "model/synthetic.h"

struct check_options {
    const char *model, *variant, *device;
    double timeout;
    bool forms;
};

static const struct check_options check_defaults = {.device = "cpu", .timeout = 300, .forms = true};

#define FIELD(name) offsetof(struct check_options, name)

static const struct option check_options[] = {
    {.name = "model",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "The model to load; without it, a tiny synthetic one is made.",
     .offset = FIELD(model)},
    {.name = "variant",
     .kind = OPTION_STRING,
     .metavar = "NAME",
     .help = "Check this variant alone.",
     .offset = FIELD(variant)},
    {.name = "device",
     .kind = OPTION_STRING,
     .metavar = "NAME",
     .help = "Where the engine is to run: cpu, cuda or cuda:N.",
     .offset = FIELD(device)},
    {.name = "timeout",
     .kind = OPTION_NUMBER,
     .metavar = "SECONDS",
     .low = 0.1,
     .high = 86400,
     .unit = "seconds",
     .help = "How long the engine may take for one request.",
     .offset = FIELD(timeout)},
    {.name = "forms",
     .kind = OPTION_FLAG,
     .negatable = true,
     .help = "Check each way to quantise and to split a model that it declares, as well (on).",
     .offset = FIELD(forms)},
    {0},
};

/* Enough tokens that few are single bytes: a model that chooses by chance makes text of them. */
enum { WORDS = 8192, FORMS = 10, WIDE = 1024, HEAD = 64 };

static bool takes_text(const struct engine *engine)
{
    for (size_t i = 0; i < engine->variant_count; i++)
        if (engine->variants[i].text)
            return true;
    return false;
}

/* One engine under test. */
struct checking {
    const struct check_options *options;
    const struct engine *engine;
    struct form_reference reference;
    char tiny[64], large[64]; /* models that are made here */
    bool large_is_made;
    size_t count, failures;
};

static bool reads_gguf(const struct engine *engine)
{
    return supports_word(engine->variants[0].formats, "gguf");
}

/* A model in a format that the engine reads. */
static enum status model_make(const struct checking *checking, const char *path,
                              struct model_config *config, enum tensor_type precision,
                              struct error *err)
{
    if (takes_text(checking->engine))
        config->vocabulary = WORDS;
    struct model_output output = {.path = path,
                                  .format =
                                      reads_gguf(checking->engine) ? MODEL_GGUF : MODEL_SAFETENSORS,
                                  .precision = precision,
                                  .threads = 1};
    return synthetic_write(config, "Made for a check", 1, &output, NULL, err);
}

/* Wide enough that two devices share it in every form; engines that take text split nothing, and
 * the tiny shape is one of which they generate whole characters. */
static enum status tiny_make(struct checking *checking, struct error *err)
{
    struct model_config config;
    synthetic_shape("tiny", &config);
    if (!takes_text(checking->engine)) {
        config.heads = 8;
        config.ffn_size = 256;
    }
    return model_make(checking, checking->tiny, &config, TENSOR_F32, err);
}

/* Two layers as wide as real ones are: 69 MB. */
static const char *large_make(void *context, struct error *err)
{
    struct checking *checking = context;
    struct model_config config;
    if (checking->large_is_made)
        return checking->large;
    synthetic_shape("tiny", &config);
    config.hidden_size = WIDE;
    config.head_size = HEAD;
    config.heads = config.kv_heads = WIDE / HEAD;
    config.ffn_size = 4 * WIDE;
    if (model_make(checking, checking->large, &config, TENSOR_F16, err))
        return NULL;
    checking->large_is_made = true;
    return checking->large;
}

static void check_print(void *context, const char *subject, const char *check,
                        const struct error *problem)
{
    struct checking *checking = context;
    checking->count++;
    printf("%-4s  %s: %s\n", problem ? "FAIL" : "ok", subject, check);
    if (problem) {
        printf("      ");
        error_print(problem, stdout);
    }
    fflush(stdout);
}

static void skip_print(void *context, const char *subject, const struct error *reason)
{
    (void)context;
    printf("--    %s: not checked: %s. %s\n", subject, reason->what, reason->remedy);
    fflush(stdout);
}

static enum status form_judge(void *context, const struct engine_form *form, const char *precision,
                              const int32_t *ids, uint32_t vocabulary, const float *logits,
                              struct error *err)
{
    struct checking *checking = context;
    const struct form_logits given = {form,       precision, ids, CONFORMANCE_CONTEXT,
                                      vocabulary, logits};
    return form_reference_judge(&checking->reference, &given, err);
}

/* Ids of text, for engines that take no others; their own check tells when it is none. */
static enum status text_make(const struct model *model, const char *path,
                             int32_t text[CONFORMANCE_CONTEXT], struct error *err)
{
    bool synthetic;
    return prompt_make(path, model->config.vocabulary, text, CONFORMANCE_CONTEXT, &synthetic, err);
}

/* Those that the model can be held in, whatever the engine. */
static size_t forms_find(const struct model *model, struct engine_form *forms)
{
    static const char *const quantised[] = {NULL, "int8", "nf4", "float16", "q8_0"};
    struct error ignored;
    size_t count = 0;
    for (uint32_t shard = 1; shard <= 2; shard++)
        for (size_t i = 0; i < sizeof quantised / sizeof *quantised; i++)
            if ((shard == 1 || shards_divide(&model->config, shard)) &&
                (!quantised[i] || !model_check_quantize(model, quantised[i], &ignored)) &&
                !shards_check_blocks(&model->config, quantised[i], shard, &ignored))
                forms[count++] = (struct engine_form){quantised[i], shard};
    return count;
}

/* The variant that is checked alone, or the first, after which the others' model goes as well. */
static const struct engine_variant *variant_of(const struct engine *engine, const char *name)
{
    for (size_t i = 0; name && i < engine->variant_count; i++)
        if (strcmp(engine->variants[i].name, name) == 0)
            return &engine->variants[i];
    return &engine->variants[0];
}

static enum status check_model(const char *path, const char *folder, struct checking *checking,
                               struct error *err)
{
    const struct engine *engine = checking->engine;
    const struct check_options *o = checking->options;
    char kept[PATH_MAX];
    int32_t text[CONFORMANCE_CONTEXT];
    struct engine_form forms[FORMS];
    struct model model;
    char source[PATH_MAX];
    enum status status = model_open(&model, path, err);
    if (status)
        return status;
    if (takes_text(engine))
        status = text_make(&model, path, text, err);
    snprintf(kept, sizeof kept, "%s/quantised.gguf", folder);
    if (!status)
        status = copy_or_model(variant_of(engine, o->variant), &model, -1, source, err);
    struct conformance_options options = {.model = source,
                                          .text = text,
                                          .variant = o->variant,
                                          .device = o->device,
                                          .limit_ms = (int64_t)(o->timeout * 1000),
                                          .forms = forms,
                                          .form_count = o->forms ? forms_find(&model, forms) : 0,
                                          .keep_at = kept,
                                          .judge = form_judge,
                                          .report = check_print,
                                          .skip = skip_print,
                                          .large_model = o->model ? NULL : large_make,
                                          .context = checking};
    model_close(&model);
    checking->reference.model = path;
    if (!status)
        status = conformance_run(engine, &options, &checking->failures, err);
    form_reference_free(&checking->reference);
    if (!status)
        printf("%s: %zu of %zu checks passed\n", engine->name, checking->count - checking->failures,
               checking->count);
    return status;
}

static enum status check(struct checking *checking, struct error *err)
{
    char folder[] = "/tmp/prony-check-XXXXXX";
    const char *model = checking->options->model ? checking->options->model : checking->tiny;
    enum status status = STATUS_OK;
    struct error ignored;
    if (!mkdtemp(folder))
        return error_errno(err, "make a temporary folder");
    const char *suffix = reads_gguf(checking->engine) ? ".gguf" : "";
    snprintf(checking->tiny, sizeof checking->tiny, "%s/tiny%s", folder, suffix);
    snprintf(checking->large, sizeof checking->large, "%s/large%s", folder, suffix);
    if (model == checking->tiny)
        status = tiny_make(checking, err);
    if (!status)
        status = check_model(model, folder, checking, err);
    folder_remove(folder, &ignored);
    return status;
}

static int check_run(const void *given, const struct option_list *args)
{
    struct engine_catalogue catalogue;
    struct error err;
    struct checking checking = {.options = given};
    struct gpu gpu;
    enum status status = gpu_check(checking.options->device, &gpu, &err);
    if (!status)
        status = engine_catalogue_open(&catalogue, &err);
    if (!status) {
        checking.engine = engine_named(&catalogue, args->items[0], &err);
        checking.reference.catalogue = &catalogue;
        status = checking.engine ? check(&checking, &err) : err.status;
        engine_catalogue_close(&catalogue);
    }
    if (status)
        error_print(&err, stderr);
    return status || checking.failures ? EXIT_ERROR : EXIT_PASS;
}

const struct command command_engines_check = {
    .name = "engines check",
    .summary = "Checks that an engine keeps to the protocol.",
    .positional = "ENGINE",
    .min_args = 1,
    .max_args = 1,
    .options = check_options,
    .options_bytes = sizeof(struct check_options),
    .defaults = &check_defaults,
    .details = "Starts the engine's worker again and again and asks for everything that the "
               "protocol has, in good order and in bad; and each way to quantise and to split a "
               "model that its engine.json declares, against the native engine's logits within "
               "the equivalence gate's bounds; and with --device cpu counts the threads that "
               "compute. Prints a line for each check; exit status 0 means that all have "
               "passed.\n\n"
               "Examples:\n\n"
               "  prony engines check native\n"
               "  PRONY_ENGINE_PATH=~/engines prony engines check mine --timeout 10",
    .run = check_run,
};
