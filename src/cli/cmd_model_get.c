/* prony model get: a model from a hub. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/model_progress.h"
#include "hub/hub.h"

struct get_options {
    int64_t retries, stall;
};

static const struct get_options defaults = {.retries = 5, .stall = 30};

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

/* The line on the terminal, at most ten times a second, and the rate of what came now. */
struct line {
    struct model_progress progress;
    struct weight_progress report;
};

static bool line_report(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct line *line = context;
    if (total_bytes > 0 && !line->progress.resumed_bytes && done_bytes > 0)
        line->progress.resumed_bytes = done_bytes;
    return line->report.report(line->report.context, done_bytes, total_bytes);
}

static void line_note(void *context, const char *text)
{
    struct line *line = context;
    model_progress_end(&line->progress);
    fprintf(stderr, "%s\n", text);
}

static enum status get(const struct hub_name *name, const struct get_options *o, struct error *err)
{
    struct line line;
    struct hub_options hub = {.retries = (unsigned)o->retries,
                              .stall_s = (unsigned)o->stall,
                              .report = line_report,
                              .note = line_note,
                              .context = &line};
    char path[PATH_MAX];
    uint64_t bytes = 0, fetched = 0;
    if (hub_options_environment(&hub, err))
        return err->status;
    line.report = model_progress_start(&line.progress, "Fetching");
    enum status status = hub_get(name, &hub, path, &bytes, &fetched, err);
    model_progress_end(&line.progress);
    if (status)
        return status;
    if (!hub.offline)
        fprintf(stderr, "%.1f MB, of which %.1f MB were fetched now; hashes agree with the hub's\n",
                (double)bytes / 1e6, (double)fetched / 1e6);
    printf("%s\n", path);
    return STATUS_OK;
}

static int run(const void *given, const struct option_list *args)
{
    struct hub_name name;
    struct error err;
    enum status status = hub_name_parse(&name, args->items[0], &err);
    if (!status)
        status = get(&name, given, &err);
    if (!status)
        return EXIT_PASS;
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
               "safetensors with their configuration and tokenizer, else its only GGUF file. "
               "What arrived before a cut is kept, and the same command goes on from there. "
               "Every file is checked against the hash that the hub lists.\n\n"
               "HF_TOKEN is the token for models with a licence to accept, HF_ENDPOINT the "
               "address of another hub, HF_HUB_OFFLINE=1 forbids the network.\n\n"
               "Examples:\n\n"
               "  prony model get llama3-1b\n"
               "  prony model get org/repo:model.gguf",
    .run = run,
};
