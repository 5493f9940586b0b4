/* Commands and options as data: one table per command drives parsing, --help, the man page and
 * shell completion. */
#ifndef PRONY_CLI_COMMAND_H
#define PRONY_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Exit statuses (docs/ci.md). */
enum exit_status {
    EXIT_PASS = 0,
    EXIT_ERROR = 1,
    EXIT_REGRESSION = 3,
    EXIT_UNDECIDED = 4,
    EXIT_INVALID = 5
};

enum option_kind {
    OPTION_FLAG,   /* bool: --wide; with .negatable also --no-wide */
    OPTION_STRING, /* const char * */
    OPTION_CHOICE, /* const char *, one of .choices */
    OPTION_INT,    /* int64_t in [low, high] */
    OPTION_NUMBER, /* double in [low, high] */
    OPTION_LIST    /* struct option_list: one or more words, until the next option */
};

struct option_list {
    const char **items;
    size_t count;
};

struct option {
    const char *name; /* "model-path", without dashes; NULL ends a table */
    char letter;      /* 'o', or 0 */
    enum option_kind kind;
    const char *metavar; /* "PATH" */
    const char *help;    /* one sentence */
    size_t offset;       /* of the field in the command's options struct */
    const char *choices; /* "llama3-1b llama3-8b", for OPTION_CHOICE and completion */
    double low, high;    /* for numbers */
    bool required, negatable;
    const char *group; /* heading in --help; NULL: the one before */
};

struct command {
    const char *name;          /* "bench"; nested ones "model make" */
    const char *summary;       /* one line */
    const char *positional;    /* "RUN [RUN]" for usage; NULL: none */
    size_t min_args, max_args; /* positional */
    const struct option *options;
    size_t options_bytes; /* size of the options struct, zeroed then defaulted */
    const void *defaults; /* same size, or NULL */
    const char *details;  /* paragraphs after the options: examples, exit statuses */
    int (*run)(const void *options, const struct option_list *args); /* exit status */
};

extern const struct command *const commands[]; /* NULL-terminated */

/* Parses argv (after the command's words) into options (zeroed by the caller) and args. Lists
 * borrow argv and are malloc'd; they live until exit. STATUS_USAGE names the option and what it
 * takes. */
enum status options_parse(const struct command *command, int argc, char **argv, void *options,
                          struct option_list *args, struct error *err);

#endif
