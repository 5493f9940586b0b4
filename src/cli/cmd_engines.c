/* prony engines: what is installed. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "engine/manifest.h"
#include "engine/presence.h"

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
