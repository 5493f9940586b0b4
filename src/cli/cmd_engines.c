/* prony engines: what is installed; prony engines check: does an engine keep to the protocol? */
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/prompt.h"
#include "cli/command.h"
#include "cli/engine_named.h"
#include "engine/conformance.h"
#include "engine/manifest.h"
#include "engine/presence.h"
#include "machine/gpu.h"
#include "model/model.h"
#include "model/synthetic.h"

struct engines_options {
    bool all;
};

static const struct option engines_options[] = {
    {.name = "all",
     .kind = OPTION_FLAG,
     .help = "List the engines for tests as well.",
     .offset = offsetof(struct engines_options, all)},
    {0},
};

static void words_print(const char *const *words, int width)
{
    char text[64] = "";
    for (size_t i = 0; words[i]; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", words[i]);
    }
    printf("%-*s ", width, text);
}

static void engine_print(const struct engine *engine, struct arena *arena)
{
    printf("%s: %s\n", engine->name, engine->about);
    for (size_t i = 0; i < engine->variant_count; i++) {
        const struct engine_variant *variant = &engine->variants[i];
        printf("  %-16s %-9s ", variant->name, variant->precision);
        words_print(variant->devices, 8);
        words_print(variant->formats, 26);
        printf("%s\n", variant->about);
    }
    const char *obstacle = engine_obstacle(engine, NULL, NULL, arena);
    if (engine->version || obstacle)
        printf("  %s%s\n", engine->version ? "version " : "",
               engine->version ? engine->version : obstacle);
    printf("  in %s\n\n", engine->folder);
}

static int engines_run(const void *given, const struct option_list *args)
{
    const struct engines_options *o = given;
    struct engine_catalogue catalogue;
    struct error err;
    (void)args;
    if (engine_catalogue_open(&catalogue, &err)) {
        return command_fail(&err);
    }
    for (size_t i = 0; i < catalogue.count; i++)
        if (o->all || !catalogue.engines[i].hidden)
            engine_print(&catalogue.engines[i], &catalogue.arena);
    if (catalogue.count == 0)
        printf("No engines are installed. docs/adding-an-engine.md tells how to write one.\n");
    for (size_t i = 0; i < catalogue.problem_count; i++)
        error_print(&catalogue.problems[i].error, stderr);
    int status = catalogue.problem_count ? EXIT_ERROR : EXIT_PASS;
    engine_catalogue_close(&catalogue);
    return status;
}

const struct command command_engines = {
    .name = "engines",
    .summary = "Lists the engines that there are, and their variants.",
    .options = engines_options,
    .options_bytes = sizeof(struct engines_options),
    .details = "An engine is a folder with an engine.json, in a folder of $PRONY_ENGINE_PATH or "
               "beside this program. A folder that looks like an engine and is none is an error.",
    .run = engines_run,
};

struct check_options {
    const char *model, *variant, *device;
    double timeout;
};

static const struct check_options check_defaults = {.device = "cpu", .timeout = 300};

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
    {0},
};

/* Enough tokens that few are single bytes: a model that chooses by chance makes text of them. */
enum { WORDS = 8192 };

static bool takes_text(const struct engine *engine)
{
    for (size_t i = 0; i < engine->variant_count; i++)
        if (engine->variants[i].text)
            return true;
    return false;
}

/* A model of the tiny shape in a folder of its own, in a format that the engine reads. */
static enum status model_make(const struct engine *engine, char *folder, char *path, size_t size,
                              struct error *err)
{
    struct model_config config;
    bool gguf = false;
    for (size_t i = 0; engine->variants[0].formats[i]; i++)
        gguf = gguf || strcmp(engine->variants[0].formats[i], "gguf") == 0;
    if (!mkdtemp(folder))
        return error_errno(err, "make a temporary folder");
    snprintf(path, size, "%s/tiny%s", folder, gguf ? ".gguf" : "");
    synthetic_shape("tiny", &config);
    if (takes_text(engine))
        config.vocabulary = WORDS;
    struct model_output output = {.path = path,
                                  .format = gguf ? MODEL_GGUF : MODEL_SAFETENSORS,
                                  .precision = TENSOR_F32,
                                  .threads = 1};
    return synthetic_write(&config, "Tiny", 1, &output, NULL, err);
}

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void check_print(void *context, const char *subject, const char *check,
                        const struct error *problem)
{
    size_t *count = context;
    ++*count;
    printf("%-4s  %s: %s\n", problem ? "FAIL" : "ok", subject, check);
    if (problem) {
        printf("      ");
        error_print(problem, stdout);
    }
    fflush(stdout);
}

/* Ids of text, for engines that take no others; their own check tells when it is none. */
static enum status text_make(const char *path, int32_t text[CONFORMANCE_CONTEXT], struct error *err)
{
    struct model model;
    bool synthetic;
    enum status status = model_open(&model, path, err);
    if (status)
        return status;
    status = prompt_make(path, model.config.vocabulary, text, CONFORMANCE_CONTEXT, &synthetic, err);
    model_close(&model);
    return status;
}

static enum status check(const struct engine *engine, const struct check_options *o,
                         size_t *failures, struct error *err)
{
    char folder[] = "/tmp/prony-check-XXXXXX", path[PATH_MAX] = "";
    int32_t text[CONFORMANCE_CONTEXT];
    bool made = !o->model;
    size_t count = 0;
    enum status status = made ? model_make(engine, folder, path, sizeof path, err) : STATUS_OK;
    if (!status && takes_text(engine))
        status = text_make(made ? path : o->model, text, err);
    struct conformance_options options = {.model = made ? path : o->model,
                                          .text = text,
                                          .variant = o->variant,
                                          .device = o->device,
                                          .limit_ms = (int64_t)(o->timeout * 1000),
                                          .report = check_print,
                                          .context = &count};
    if (!status)
        status = conformance_run(engine, &options, failures, err);
    if (made)
        nftw(folder, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
    if (!status)
        printf("%s: %zu of %zu checks passed\n", engine->name, count - *failures, count);
    return status;
}

static int check_run(const void *given, const struct option_list *args)
{
    struct engine_catalogue catalogue;
    struct error err;
    size_t failures = 0;
    const struct check_options *o = given;
    struct gpu gpu;
    const char *name = args->items[0];
    enum status status = gpu_check(o->device, &gpu, &err);
    if (!status)
        status = engine_catalogue_open(&catalogue, &err);
    if (!status) {
        const struct engine *engine = engine_named(&catalogue, name, &err);
        status = engine ? check(engine, o, &failures, &err) : err.status;
        engine_catalogue_close(&catalogue);
    }
    if (status)
        error_print(&err, stderr);
    return status || failures ? EXIT_ERROR : EXIT_PASS;
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
               "protocol has, in good order and in bad. Prints a line for each check; exit status "
               "0 means that all have passed.\n\n"
               "Examples:\n\n"
               "  prony engines check native\n"
               "  PRONY_ENGINE_PATH=~/engines prony engines check mine --timeout 10",
    .run = check_run,
};
