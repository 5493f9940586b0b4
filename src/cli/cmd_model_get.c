/* prony model get: a model from a hub. */
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/model_fetch.h"

struct get_options {
    int64_t retries, stall;
};

static const struct get_options defaults = {.retries = MODEL_FETCH_RETRIES,
                                            .stall = MODEL_FETCH_STALL_S};

#define FIELD(name) offsetof(struct get_options, name)

static const struct option options[] = {
    {.name = "retries",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = 100,
     .help = "Tries after the first that bring nothing, before giving up.",
     .offset = FIELD(retries)},
    {.name = "stall",
     .kind = OPTION_INT,
     .metavar = "SECONDS",
     .low = 1,
     .high = 3600,
     .unit = "seconds",
     .help = "A transfer that is slower than 1 kB/s for this long is tried again.",
     .offset = FIELD(stall)},
    {0},
};

static int run(const void *given, const struct option_list *args)
{
    struct hub_name name;
    struct error err;
    const struct get_options *o = given;
    char path[PATH_MAX];
    enum status status = hub_name_parse(&name, args->items[0], &err);
    if (!status)
        status = model_fetch(&name, (unsigned)o->retries, (unsigned)o->stall, path, &err);
    if (!status) {
        printf("%s\n", path);
        return EXIT_PASS;
    }
    error_print(&err, stderr);
    return status == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
}

const struct command command_model_get = {
    .name = "model get",
    .summary = "Gets a model from a hub, and prints its path.",
    .positional = "NAME|ORG/REPO[:FILE]",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .options_bytes = sizeof(struct get_options),
    .defaults = &defaults,
    .exits = 1u << EXIT_PASS,
    .details = "Names: llama3-1b, llama3-8b, llama3-70b, llama3-405b. Of a repository it is the "
               "safetensors with their configuration and tokenizer, else its only GGUF, in one "
               "file or in parts; FILE is one file, or any part, which means all of them. "
               "What arrived before a cut is kept, and the same command goes on from there. "
               "Every file is checked against the hash that the hub lists.\n\n"
               "HF_TOKEN is the token for models with a licence to accept, HF_ENDPOINT the "
               "address of another hub, HF_HUB_OFFLINE=1 forbids the network.\n\n"
               "Examples:\n\n"
               "  prony model get llama3-1b\n"
               "  prony model get org/repo:model.gguf",
    .run = run,
};
