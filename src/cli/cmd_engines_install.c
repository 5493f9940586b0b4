/* prony engines install: what engines stand on, into environments of their own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "cli/command.h"
#include "cli/engine_named.h"
#include "engine/install.h"
#include "engine/manifest.h"

static void say(void *context, const char *line)
{
    fprintf(stderr, "%s: %s\n", (const char *)context, line);
}

static enum status install(const struct engine_catalogue *catalogue, const char *argument,
                           int cancel_fd, struct error *err)
{
    char name[64];
    const char *at = strchr(argument, '@');
    size_t length = strcspn(argument, "@");
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             argument);
    const struct engine *engine = engine_named(catalogue, name, err);
    if (!engine)
        return err->status;
    struct install_request request = {.version = at ? at + 1 : NULL,
                                      .cancel_fd = cancel_fd,
                                      .say = say,
                                      .context = (void *)argument};
    enum status status = engine_install(engine, &request, err);
    if (!status)
        printf("%s is installed.\n", argument);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct engine_catalogue catalogue;
    struct error err;
    int cancel_fd = -1, result = EXIT_PASS;
    (void)given;
    if (cancel_open(&cancel_fd, &err) || engine_catalogue_open(&catalogue, &err)) {
        error_print(&err, stderr);
        return EXIT_ERROR;
    }
    for (size_t i = 0; i < args->count && result != EXIT_INTERRUPTED; i++) {
        enum status status = install(&catalogue, args->items[i], cancel_fd, &err);
        if (status)
            error_print(&err, stderr);
        if (status)
            result = status == STATUS_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_ERROR;
    }
    engine_catalogue_close(&catalogue);
    close(cancel_fd);
    return result;
}

const struct command command_engines_install = {
    .name = "engines install",
    .summary = "Installs what engines stand on.",
    .positional = "NAME[@VERSION]...",
    .min_args = 1,
    .max_args = 64,
    .details = "Each engine and version gets an environment of its own in Prony's cache folder; "
               "your own environments are not touched. Packages are pinned and checked by their "
               "hashes; they come from where your pip gets them.\n\n"
               "Examples:\n\n"
               "  prony engines install pytorch\n"
               "  prony engines install tinygrad@0.13.0 tinygrad@0.14.0",
    .exits = 1u << EXIT_PASS,
    .run = run,
};
