/* prony results show: everything about one run but its stamps. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_number.h"
#include "report/text.h"
#include "store/export.h"
#include "store/store.h"

struct show_options {
    const char *store;
    bool json;
};

static const struct option show_options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "Print the whole record as JSON, stamps included.",
     .offset = offsetof(struct show_options, json)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = offsetof(struct show_options, store)},
    {0},
};

enum { WIDTH = 80, KEY_WIDTH = 16 };

/* One line: name and value; long values lose their middle. */
static void print_value(const char *key, int indent, const json_t *value, struct arena *arena)
{
    char *dumped = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
    const char *text = text_clean(arena, json_is_string(value) ? json_string_value(value) : dumped);
    const char *name = text_clean(arena, key);
    name = name ? text_fit(arena, name, 40) : NULL;
    free(dumped);
    if (!text || !name)
        return;
    size_t width = text_width(name) > KEY_WIDTH ? text_width(name) : KEY_WIDTH;
    printf("%*s", indent, "");
    text_pad(stdout, name, width, TEXT_LEFT);
    text = text_fit(arena, text, WIDTH - (size_t)indent - width - 1);
    printf(" %s\n", text ? text : "");
}

/* An object, and the objects in it; what is deeper stands on a line. */
static void print_object(const char *title, const json_t *object, struct arena *arena)
{
    const char *key;
    json_t *value;
    printf("\n%s\n", title);
    json_object_foreach((json_t *)object, key, value)
    {
        if (!json_is_object(value)) {
            print_value(key, 2, value, arena);
            continue;
        }
        const char *name = text_clean(arena, key);
        printf("  %s\n", name ? name : "");
        for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
            print_value(json_object_iter_key(at), 4, json_object_iter_value(at), arena);
    }
}

static void print_line(const char *text, size_t indent, struct arena *arena)
{
    const char *clean = text_clean(arena, text);
    printf("%*s", (int)indent, "");
    text_wrap(stdout, clean ? clean : "", indent, indent, WIDTH);
}

static void print_variants(const struct record_run *run, struct arena *arena)
{
    printf("\nVariants\n");
    for (size_t i = 0; i < run->variant_count; i++) {
        const struct record_variant *variant = &run->variants[i];
        const char *line = arena_printf(arena, "%s: %s %s, %s%s%s", variant->name, variant->engine,
                                        variant->engine_version, variant->precision,
                                        *variant->detail ? ", " : "", variant->detail);
        print_line(line ? line : "", 2, arena);
        if (variant->unavailable)
            print_line(variant->unavailable, 4, arena);
    }
}

static void print_processes(const struct record_run *run, struct arena *arena)
{
    printf("\nProcesses\n");
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        const char *variant =
            process->variant < run->variant_count ? run->variants[process->variant].name : "?";
        const char *line = process->failure
                               ? arena_printf(arena, "block %" PRIu32 ", %s: failed: %s",
                                              process->block + 1, variant, process->failure)
                               : arena_printf(arena, "block %" PRIu32 ", %s: %zu tokens",
                                              process->block + 1, variant, process->token_count);
        print_line(line ? line : "", 2, arena);
        if (process->failure && process->log_tail)
            print_line(process->log_tail, 6, arena);
    }
}

static void print_run(const struct record_run *run, const json_t *whole, struct arena *arena)
{
    printf("Run %" PRId64 ", %s\n", run->id, run->state);
    printf("  begun            %s\n", run->created);
    printf("  uid              %s\n", run->uid);
    if (run->imported)
        printf("  measured elsewhere and imported\n");
    print_object("Plan", json_object_get(whole, "plan"), arena);
    print_object("Manifest", json_object_get(whole, "manifest"), arena);
    print_variants(run, arena);
    print_processes(run, arena);
}

static enum status show(const struct show_options *options, const struct option_list *args,
                        struct arena *arena, struct error *err)
{
    struct store *store = NULL;
    struct record_run record;
    json_t *whole = NULL;
    int64_t number = 0;
    enum status status = args->count ? run_number_parse(args->items[0], &number, err) : STATUS_OK;
    if (!status)
        status = store_open_read(&store, options->store, err);
    if (!status)
        status = store_run_load(store, number, &record, arena, err);
    if (!status && !(whole = export_run(&record, err)))
        status = err->status;
    if (!status && options->json) {
        if (!json_dumpf(whole, stdout, JSON_INDENT(2)))
            putchar('\n');
    } else if (!status) {
        print_run(&record, whole, arena);
    }
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = error_errno(err, "write to standard output");
    json_decref(whole);
    store_close(store);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct arena arena = {0};
    struct error err;
    enum status status = show(given, args, &arena, &err);
    arena_free(&arena);
    return status ? command_fail(&err) : EXIT_PASS;
}

const struct command command_results_show = {
    .name = "results show",
    .summary = "Shows a stored run: plan, manifest, variants, processes.",
    .positional = "[RUN]",
    .max_args = 1,
    .options = show_options,
    .options_bytes = sizeof(struct show_options),
    .details = "RUN is a number of 'prony results list'; the newest run is taken when it is left "
               "out. 'prony report RUN' prints its figures.\n"
               "\n"
               "  prony results show 7\n"
               "  prony results show 7 --json | jq .manifest.machine\n",
    .run = run,
};
