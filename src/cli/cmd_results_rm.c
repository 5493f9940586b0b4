/* prony results rm: removes runs for ever. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/run_number.h"
#include "store/store.h"

struct rm_options {
    const char *store;
    bool yes;
};

static const struct option rm_options[] = {
    {.name = "yes",
     .letter = 'y',
     .kind = OPTION_FLAG,
     .help = "Do not ask.",
     .offset = offsetof(struct rm_options, yes)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Remove from this store instead of the user's own.",
     .offset = offsetof(struct rm_options, store)},
    {0},
};

/* Whether the person at the terminal says yes. */
static enum status confirm(const struct option_list *args, struct error *err)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        error_set(err, STATUS_USAGE, "there is no terminal to ask whether to remove for ever");
        return error_remedy(err, "Add --yes.");
    }
    printf("Remove run%s", args->count == 1 ? "" : "s");
    for (size_t i = 0; i < args->count; i++)
        printf("%s %s", i ? "," : "", args->items[i]);
    printf(" for ever? [y/N] ");
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
        return error_set(err, STATUS_INTERRUPTED, "nothing was removed");
    return STATUS_OK;
}

static enum status rm(const struct rm_options *options, const struct option_list *args,
                      struct error *err)
{
    struct store *store = NULL;
    enum status status = STATUS_OK;
    int64_t *runs = calloc(args->count + 1, sizeof *runs);
    if (!runs)
        return error_no_memory(err, args->count * sizeof *runs);
    for (size_t i = 0; i < args->count && !status; i++)
        status = run_number_parse(args->items[i], &runs[i], err);
    /* Nothing is made where there is no store: first to read. */
    if (!status)
        status = store_open_read(&store, options->store, err);
    store_close(store);
    store = NULL;
    if (!status && !options->yes)
        status = confirm(args, err);
    if (!status)
        status = store_open(&store, options->store, err);
    if (!status)
        status = store_runs_remove(store, runs, args->count, err);
    if (!status)
        printf("Removed %zu run%s\n", args->count, args->count == 1 ? "" : "s");
    store_close(store);
    free(runs);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct error err;
    if (rm(given, args, &err) == STATUS_OK)
        return EXIT_PASS;
    error_print(&err, stderr);
    return EXIT_ERROR;
}

const struct command command_results_rm = {
    .name = "results rm",
    .summary = "Removes runs from the store.",
    .positional = "RUN...",
    .min_args = 1,
    .max_args = 10000,
    .options = rm_options,
    .options_bytes = sizeof(struct rm_options),
    .details = "It asks first, unless --yes is given. All of the runs are removed, or none; a run "
               "that is being measured is not. Numbers are not used again.\n"
               "\n"
               "  prony results rm 3 4 --yes\n",
    .run = run,
};
