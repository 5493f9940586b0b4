/* prony results export: runs as one JSON document, with everything that was recorded. */
#include <inttypes.h>
#include <jansson.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/run_number.h"
#include "store/export.h"
#include "store/store.h"

struct export_options {
    const char *output, *store;
};

static const struct option export_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_STRING,
     .metavar = "FILE",
     .help = "The file to write.",
     .required = true,
     .offset = offsetof(struct export_options, output)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = offsetof(struct export_options, store)},
    {0},
};

static enum status run_add(json_t *document, struct store *store, const char *text,
                           struct error *err)
{
    struct arena arena = {0};
    struct record_run record;
    int64_t number;
    enum status status = run_number_parse(text, &number, err);
    if (!status)
        status = store_run_load(store, number, &record, &arena, err);
    if (!status)
        status = export_document_add(document, &record, err);
    arena_free(&arena);
    return status;
}

static enum status write_file(const json_t *document, const char *path, struct error *err)
{
    struct file_writer writer = {0};
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    if (json_dumpf(document, writer.stream, JSON_COMPACT) || fputc('\n', writer.stream) == EOF) {
        error_errno(err, "write the export");
        status = error_where(err, "%s", path);
        file_writer_abort(&writer);
        return status;
    }
    return file_writer_commit(&writer, err);
}

static enum status export(const struct export_options *options, const struct option_list *args,
                          struct error *err) {
    struct store *store = NULL; enum status status = store_open_read(&store, options->store, err);
    json_t *document = status ? NULL : export_document(err);
    if (!status && !document) status = err->status;
    for (size_t i = 0; i < args->count && !status; i++)
        status = run_add(document, store, args->items[i], err);
    if (!status) status = write_file(document, options->output, err);
    if (!status) printf("Wrote %zu run%s to %s\n", args->count, args->count == 1 ? "" : "s",
                        options->output);
    json_decref(document);
    store_close(store);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct error err;
    if (export(given, args, &err) == STATUS_OK)
        return EXIT_PASS;
    return command_fail(&err);
}

const struct command command_results_export = {
    .name = "results export",
    .summary = "Writes runs with all raw stamps as one JSON document.",
    .positional = "RUN...",
    .min_args = 1,
    .max_args = 10000,
    .options = export_options,
    .options_bytes = sizeof(struct export_options),
    .details =
        "'prony results import' reads it into another store, and nothing is lost: reports of "
        "the imported run print the same figures. The document also tells the machine, the "
        "command line and paths: look at it before publishing it.\n"
        "\n"
        "  prony results export 7 8 --output runs.json\n",
    .run = run,
};
