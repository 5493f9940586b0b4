/* prony model list, prony model rm: the models that prony model get has brought. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/command.h"
#include "hub/shelf.h"

static const struct option no_options[] = {{0}};

static void kept_print(void *context, const struct hub_kept *kept)
{
    size_t *count = context;
    ++*count;
    printf("%s  %" PRIu64 " file%s, %.1f MB", kept->repo, kept->files, kept->files == 1 ? "" : "s",
           (double)kept->bytes / 1e6);
    if (kept->part_files)
        printf(", and %.1f MB of %" PRIu64 " that was cut", (double)kept->part_bytes / 1e6,
               kept->part_files);
    printf("\n  in %s\n", kept->path);
}

static int list_run(const void *given, const struct option_list *args)
{
    struct error err;
    size_t count = 0;
    (void)given, (void)args;
    if (hub_shelf_walk(kept_print, &count, &err)) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    if (count == 0)
        printf("There are no models yet. 'prony model get llama3-1b' gets one.\n");
    return EXIT_PASS;
}

const struct command command_model_list = {
    .name = "model list",
    .summary = "Lists the models that were got from a hub.",
    .options = no_options,
    .run = list_run,
};

static int rm_run(const void *given, const struct option_list *args)
{
    struct error err;
    struct hub_name name;
    uint64_t bytes;
    (void)given;
    for (size_t i = 0; i < args->count; i++) {
        if (hub_name_parse(&name, args->items[i], &err) || hub_shelf_remove(&name, &bytes, &err)) {
            error_print(&err, stderr);
            return EXIT_ERROR;
        }
        printf("%s is gone: %.1f MB are free again\n", args->items[i], (double)bytes / 1e6);
    }
    return EXIT_PASS;
}

const struct command command_model_rm = {
    .name = "model rm",
    .summary = "Removes models that were got from a hub.",
    .positional = "NAME|ORG/REPO[:FILE]...",
    .min_args = 1,
    .max_args = 1000,
    .options = no_options,
    .details = "A name with a file removes that file, a repository all that was got of it; what a "
               "cut fetch left goes as well. It asks nothing.",
    .run = rm_run,
};
