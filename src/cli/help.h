/* What --help prints, and the texts that the man page shares with it. */
#ifndef PRONY_CLI_HELP_H
#define PRONY_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* Columns of the terminal behind a stream, within [60, 100]; 80 when there is none. */
int help_width(FILE *stream);

/* One command; the options it takes with their defaults and choices; its details. */
void help_command(FILE *stream, int width, const struct command *command);
/* The commands "WORD something"; NULL: all of them. */
void help_commands(FILE *stream, int width, const char *group);

/* "  -o, --output FILE...": how an option is written. */
void help_option_form(const struct option *option, char *text, size_t size);
/* "(default: 20)", "(required)", "" ...; defaults may be NULL. */
void help_option_note(const struct command *command, const struct option *option, char *text,
                      size_t size);

struct exit_meaning {
    int status;
    const char *meaning;
};
/* Ends with a meaning of NULL. */
extern const struct exit_meaning exit_meanings[];
/* Whether a command may end with this status. */
bool help_exits_with(const struct command *command, int status);

#endif
