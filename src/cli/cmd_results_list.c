/* prony results list: what the store holds, a line for each run. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli/command.h"
#include "report/facts.h"
#include "report/text.h"
#include "store/store.h"

struct list_options {
    const char *store;
    bool json;
};

static const struct option list_options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "Print JSON.",
     .offset = offsetof(struct list_options, json)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = offsetof(struct list_options, store)},
    {0},
};

enum { MODEL_WIDTH = 26 };

/* The model's file, or "?" where the manifest does not tell. */
static const char *model_name(const struct store_listing *run, struct arena *arena)
{
    struct record_run record = {.id = run->id, .manifest = run->manifest};
    struct run_facts facts;
    struct error ignored;
    bool known = run_facts_make(&facts, &record, arena, &ignored) == STATUS_OK && *facts.model;
    return known ? facts.model : "?";
}

static void print_table(const struct store_listing *runs, size_t count, struct arena *arena)
{
    bool imported = false;
    if (count == 0) {
        printf("No run is stored yet.\n");
        return;
    }
    printf("%5s  %-16s  %-*s %8s %6s  State\n", "Run", "When (UTC)", MODEL_WIDTH, "Model",
           "Variants", "Blocks");
    for (size_t i = 0; i < count; i++) {
        const struct store_listing *run = &runs[i];
        const char *model = text_fit(arena, model_name(run, arena), MODEL_WIDTH);
        printf("%5" PRId64 "  %.10s %.5s  ", run->id, run->created,
               strlen(run->created) > 11 ? run->created + 11 : "");
        text_pad(stdout, model ? model : "?", MODEL_WIDTH, TEXT_LEFT);
        printf(" %8" PRId64 " %6" PRId64 "  %s%s\n", run->variants, run->blocks, run->state,
               run->imported ? "*" : "");
        imported = imported || run->imported;
    }
    if (imported)
        printf("* measured elsewhere and imported\n");
}

static enum status print_json(const struct store_listing *runs, size_t count, struct arena *arena,
                              struct error *err)
{
    json_t *list = json_array();
    bool failed = !list;
    for (size_t i = 0; i < count && !failed; i++) {
        const struct store_listing *run = &runs[i];
        failed = json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I}", "run",
                            (json_int_t)run->id, "uid", run->uid, "created", run->created, "state",
                            run->state, "imported", run->imported, "model", model_name(run, arena),
                            "variants", (json_int_t)run->variants, "blocks",
                            (json_int_t)run->blocks, "processes", (json_int_t)run->processes,
                            "failures", (json_int_t)run->failures));
    }
    if (!failed) {
        failed = json_dumpf(list, stdout, JSON_INDENT(2)) != 0;
        putchar('\n');
    }
    json_decref(list);
    return failed ? error_set(err, STATUS_IO, "the list cannot be written as JSON") : STATUS_OK;
}

static int run(const void *given, const struct option_list *args)
{
    const struct list_options *options = given;
    struct store *store = NULL;
    struct arena arena = {0};
    struct store_listing *runs;
    struct error err;
    size_t count;
    (void)args;
    enum status status = store_open_read(&store, options->store, &err);
    if (!status)
        status = store_runs_list(store, &runs, &count, &arena, &err);
    if (!status && options->json)
        status = print_json(runs, count, &arena, &err);
    else if (!status)
        print_table(runs, count, &arena);
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = error_errno(&err, "write to standard output");
    store_close(store);
    arena_free(&arena);
    return status ? command_fail(&err) : EXIT_PASS;
}

const struct command command_results_list = {
    .name = "results list",
    .summary = "Lists the stored runs.",
    .options = list_options,
    .options_bytes = sizeof(struct list_options),
    .details =
        "Blocks counts those in which a process went well. 'running' is also what a run says "
        "whose machine went down; 'prony bench --resume' goes on with it.\n"
        "\n"
        "  prony results list\n"
        "  prony results list --json | jq '.[] | select(.failures > 0).run'\n",
    .run = run,
};
