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
    EXIT_INVALID = 5,
    EXIT_INTERRUPTED = 130 /* as after SIGINT in a shell */
};

enum option_kind {
    OPTION_FLAG,   /* bool: --wide; with .negatable also --no-wide */
    OPTION_STRING, /* const char * */
    OPTION_CHOICE, /* const char *, one of .choices */
    OPTION_INT,    /* int64_t in [low, high] */
    OPTION_NUMBER, /* double in [low, high] */
    OPTION_LIST    /* struct option_list: one or more words, until the next option; with
                      .choices each is one of them, with .low < .high a whole number in it */
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
    const char *choices; /* "llama3-1b llama3-8b": the words that are taken */
    double low, high;    /* for numbers; both 0: any; high INFINITY: no upper limit */
    const char *unit;    /* of a number, for errors: "tokens"; NULL: none */
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
    /* Paragraphs after the options, with blank lines between them. They are wrapped; a line that
     * starts with a space is kept as it is (an example). */
    const char *details;
    unsigned exits; /* bit N: may end with exit status N; 0 and 1 are a matter of course */
    bool hidden;    /* not in the list of commands, nor in the documentation */
    int (*run)(const void *options, const struct option_list *args); /* exit status */
};

extern const struct command *const commands[]; /* NULL-terminated */
/* What prony does without a command; its name is "", and it is not among the commands. */
extern const struct command command_talk;

/* Finds the command that argv[0..] names; *words becomes the number of words it has (1 or 2).
 * NULL with *err filled when there is none, with the nearest one as a suggestion. */
const struct command *command_find(int argc, char **argv, int *words, struct error *err);
/* Whether there are commands "WORD something". */
bool command_is_group(const char *word);

/* Parses argv (what follows the command's words) into options, which hold the defaults, and args.
 * A repeated option: the last one counts, lists grow. Words are borrowed from argv. STATUS_USAGE
 * names the option and what it takes. Call options_free after a failure as well. */
enum status options_parse(const struct command *command, int argc, char **argv, void *options,
                          struct option_list *args, struct error *err);
void options_free(const struct command *command, void *options, struct option_list *args);

/* Prints an error, unless it is that nobody reads our output any more. Returns EXIT_ERROR. */
int command_fail(const struct error *err);

/* The field of an option in the options struct. */
static inline void *option_field(const struct option *option, void *options)
{
    return (char *)options + option->offset;
}

#endif
