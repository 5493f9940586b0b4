/* prony engines doctor: what of each engine is there, whether it works, and what mends it. */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "cli/command.h"
#include "cli/engine_named.h"
#include "engine/installation.h"
#include "engine/presence.h"
#include "engine/worker.h"
#include "machine/gpu.h"
#include "machine/machine.h"

enum { HELLO_MS = 120000 };

/* Starts the worker, which is the only way to know. */
static bool greet(const struct engine *engine, struct error *err)
{
    struct worker_options options = {.cancel_fd = -1, .hello_ms = HELLO_MS};
    struct worker_hello hello;
    struct worker *worker;
    if (worker_start(&worker, engine, &options, &hello, err))
        return false;
    worker_stop(worker);
    printf("works: %s %s", hello.engine, hello.version);
    if (*hello.stands_on)
        printf(" (%s)", hello.stands_on);
    printf(", on %s\n", hello.devices);
    return true;
}

static bool runs_on_cpu(const struct engine *engine)
{
    for (size_t i = 0; i < engine->variant_count; i++)
        for (const char *const *device = engine->variants[i].devices; *device; device++)
            if (strcmp(*device, "cpu") == 0)
                return true;
    return false;
}

/* Whole, and yet of no use on this machine. */
static void availability_print(const struct engine *engine)
{
    struct error err;
    struct gpu gpu;
    if (!runs_on_cpu(engine) && gpu_check("cuda", &gpu, &err))
        printf("      not available here: it needs a GPU, and %s\n", err.what);
}

static void place_print(const struct engine *engine)
{
    char folder[PATH_MAX];
    struct error ignored;
    if (engine->own)
        printf("      stands on %s\n", engine->own);
    else if (engine->python && !engine->own_python)
        printf("      uses %s\n", engine->python);
    else if (!installation_folder(engine->base, engine->version, folder, sizeof folder, &ignored))
        printf("      %.2f GB in %s\n", (double)folder_bytes(folder) / 1e9, folder);
}

/* What building this version would take. */
static void build_print(const struct engine *engine, const char *name)
{
    const struct engine_install *install = engine->install;
    const struct engine_version *version = install->build ? install->versions : NULL;
    while (version && strcmp(version->name, name) != 0)
        if (++version == install->versions + install->version_count)
            version = NULL;
    if (version)
        printf(
            "      it is built: %.0f MB to download, %.0f MB on disk meanwhile, about %u minutes "
            "of one processor\n",
            (double)version->full.download_bytes / 1e6,
            (double)(version->build_bytes + version->full.disk_bytes) / 1e6,
            version->build_minutes);
}

/* One version; false when it is there and does not work. */
static bool version_examine(const struct engine *engine, struct arena *arena)
{
    char folder[PATH_MAX];
    struct error err;
    const char *label = strchr(engine->name, '@');
    if (!engine_is_installed(engine)) {
        bool begun = !installation_folder(engine->base, label + 1, folder, sizeof folder, &err) &&
                     folder_bytes(folder) > 0;
        printf("  %-10s %s. Run: prony engines install %s\n", label + 1,
               begun ? "was begun and not finished" : "not installed", engine->name);
        build_print(engine, label + 1);
        return !begun;
    }
    printf("  %-10s ", label + 1);
    fflush(stdout);
    const char *obstacle = engine_obstacle(engine, NULL, NULL, arena);
    bool works = !obstacle && greet(engine, &err);
    if (obstacle) {
        printf("%s\n", obstacle);
    } else if (!works) {
        printf("does not work: %s%s%s%s. Run: prony engines install %s%s\n", err.what,
               *err.where ? " (" : "", err.where, *err.where ? ")" : "", engine->name,
               engine->own                             ? " --own PATH"
               : engine->python && !engine->own_python ? " --python INTERPRETER"
                                                       : "");
    } else {
        availability_print(engine);
    }
    place_print(engine);
    return works;
}

/* The programs that are missing for its worker, or for its build. */
static bool programs_examine(const struct engine *engine, enum program_need need)
{
    const struct engine_program *program;
    bool whole = true;
    for (size_t i = 0; (program = engine_missing_program(engine, need, &i)); whole = false)
        printf("  %s is missing: %s. Run: apt-get install %s\n", program->name, program->reason,
               program->package);
    return whole;
}

static bool engine_examine(const struct engine_catalogue *catalogue, const struct engine *engine,
                           struct arena *arena)
{
    struct error err;
    bool good = true;
    if (!engine->install) {
        printf("%s: ", engine->name);
        fflush(stdout);
        const char *obstacle = engine_obstacle(engine, NULL, NULL, arena);
        good = !obstacle && greet(engine, &err);
        if (!good)
            printf("%s%s\n", obstacle ? "" : "does not work: ", obstacle ? obstacle : err.what);
        return good;
    }
    printf("%s\n", engine->name);
    for (size_t i = 0; i < catalogue->version_count; i++)
        if (strcmp(catalogue->versions[i].base, engine->base) == 0)
            good = version_examine(&catalogue->versions[i], arena) && good;
    if (engine_is_installed(engine))
        return programs_examine(engine, NEEDED_TO_RUN) && good;
    programs_examine(engine, NEEDED_TO_BUILD);
    return good;
}

static void card_print(const json_t *card)
{
    const json_t *bytes = json_object_get(card, "total_bytes"),
                 *limit = json_object_get(card, "power_limit_w");
    printf("%s", json_string_value(json_object_get(card, "name")));
    if (json_is_number(bytes))
        printf(", %.1f GB", json_number_value(bytes) / 1e9);
    if (json_is_number(limit))
        printf(", %.0f W", json_number_value(limit));
    printf(", driver %s", json_string_value(json_object_get(card, "driver")));
}

/* The cards that NVML shows, and whether CUDA runs on them. A machine without any is whole. */
static bool gpus_examine(void)
{
    json_t *cards = machine_describe_gpus();
    struct error err;
    struct gpu gpu;
    bool good = true;
    if (json_array_size(cards) == 0) {
        if (gpu_check("cuda", &gpu, &err))
            printf("gpu: not available: %s. %s\n", err.what, err.remedy);
        else
            printf("gpu: cuda:0: %s; NVML does not show it: its memory is what engines tell\n",
                   gpu.name);
    }
    for (size_t i = 0; i < json_array_size(cards); i++) {
        char device[32];
        snprintf(device, sizeof device, "cuda:%zu", i);
        printf("gpu: %s: ", device);
        card_print(json_array_get(cards, i));
        if (gpu_check(device, &gpu, &err)) {
            printf(": does not work: %s. %s\n", err.what, err.remedy);
            good = false;
        } else {
            printf(", CUDA %u.%u\n", gpu.cuda_version / 1000, gpu.cuda_version % 1000 / 10);
        }
    }
    json_decref(cards);
    return good;
}

static int run(const void *given, const struct option_list *args)
{
    struct engine_catalogue catalogue;
    struct arena arena = {0};
    struct error err;
    const struct engine *only = NULL;
    bool good = true;
    (void)given;
    if (engine_catalogue_open(&catalogue, &err)) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    if (args->count && !(only = engine_named(&catalogue, args->items[0], &err))) {
        error_print(&err, stderr);
        good = false;
    }
    if (!args->count)
        good = gpus_examine();
    for (size_t i = 0; i < catalogue.count && (only || !args->count); i++)
        if (only ? only == &catalogue.engines[i] : !catalogue.engines[i].hidden)
            good = engine_examine(&catalogue, &catalogue.engines[i], &arena) && good;
    for (size_t i = 0; i < catalogue.version_count && only; i++)
        if (only == &catalogue.versions[i])
            good = version_examine(only, &arena) && good;
    if (only && !engine_is_installed(only))
        good = false;
    for (size_t i = 0; i < catalogue.problem_count && !only; i++, good = false)
        error_print(&catalogue.problems[i].error, stderr);
    engine_catalogue_close(&catalogue);
    arena_free(&arena);
    return good ? EXIT_PASS : EXIT_ERROR;
}

const struct command command_engines_doctor = {
    .name = "engines doctor",
    .summary = "Tells of each engine what is there, whether it works, and what mends it; of the "
               "GPUs as well.",
    .positional = "[NAME[@VERSION]]",
    .max_args = 1,
    .details = "Starts each worker that is installed, which is the only way to know. Exit status 1 "
               "when something that is there does not work, or when NAME is not installed.",
    .run = run,
};
