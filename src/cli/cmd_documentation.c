/* prony documentation: run by the build, which installs what it prints. */
#include <string.h>

#include "cli/command.h"
#include "cli/documentation.h"

static int run(const void *options, const struct option_list *args)
{
    (void)options;
    if (strcmp(args->items[0], "man") == 0) {
        documentation_man(stdout);
    } else if (strcmp(args->items[0], "bash") == 0) {
        documentation_bash(stdout);
    } else {
        fprintf(stderr, "Error: there is no form '%s'. The forms are man and bash.\n",
                args->items[0]);
        return EXIT_ERROR;
    }
    return EXIT_PASS;
}

const struct command command_documentation = {
    .name = "documentation",
    .summary = "Prints the man page or the bash completion.",
    .positional = "man|bash",
    .min_args = 1,
    .max_args = 1,
    .hidden = true,
    .run = run,
};
