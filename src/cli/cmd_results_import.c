/* prony results import: runs that were measured elsewhere, into this store. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "bench/summary.h"
#include "cli/command.h"
#include "store/document.h"
#include "store/import.h"
#include "store/store.h"

struct import_options {
    const char *store;
};

static const struct option import_options[] = {
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Import into this store instead of the user's own.",
     .offset = offsetof(struct import_options, store)},
    {0},
};

/* A run that cannot be reported is no use in a store. */
static enum status reportable(const struct record_run *run, struct error *err)
{
    struct summary summary;
    enum status status = summary_make(&summary, run, err);
    if (!status)
        summary_free(&summary);
    return status;
}

static enum status import(const struct import_options *options, const char *path, struct error *err)
{
    struct arena arena = {0};
    struct store *store = NULL;
    struct record_run *runs = NULL;
    size_t count = 0;
    char *text;
    size_t bytes;
    if (file_read_any(path, DOCUMENT_MAX_BYTES, &text, &bytes, err))
        return err->status;
    json_t *document = json_parse(text, bytes, path, err);
    free(text);
    if (!document)
        return err->status;
    enum status status = import_document(document, path, &runs, &count, &arena, err);
    json_decref(document);
    for (size_t i = 0; i < count && !status; i++)
        status = reportable(&runs[i], err);
    if (!status)
        status = store_open(&store, options->store, err);
    int64_t *numbers = status ? NULL : arena_array(&arena, count + 1, sizeof *numbers);
    if (!status && !numbers)
        status = error_no_memory(err, count * sizeof *numbers);
    for (size_t i = 0; i < count && !status; i++)
        numbers[i] = runs[i].id;
    if (!status)
        status = store_runs_import(store, runs, count, err);
    for (size_t i = 0; i < count && !status; i++)
        printf("Run %" PRId64 " of the file is run %" PRId64 " here\n", numbers[i], runs[i].id);
    if (!status && count == 0)
        printf("The file holds no run.\n");
    store_close(store);
    arena_free(&arena);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct error err;
    if (import(given, args->items[0], &err) == STATUS_OK)
        return EXIT_PASS;
    error_print(&err, stderr);
    return EXIT_ERROR;
}

const struct command command_results_import = {
    .name = "results import",
    .summary = "Reads exported runs into the store.",
    .positional = "FILE",
    .min_args = 1,
    .max_args = 1,
    .options = import_options,
    .options_bytes = sizeof(struct import_options),
    .details = "FILE is what 'prony results export' wrote, here or elsewhere. All of its runs are "
               "imported, under new numbers, or none. A run that the store has already is refused. "
               "An imported run is never gone on with by 'prony bench --resume'.\n"
               "\n"
               "  prony results import runs.json\n",
    .run = run,
};
