/* The man page and the shell completion, made from the same tables as --help. */
#ifndef PRONY_CLI_DOCUMENTATION_H
#define PRONY_CLI_DOCUMENTATION_H

#include <stdio.h>

void documentation_man(FILE *stream);  /* prony(1), for groff's man macros */
void documentation_bash(FILE *stream); /* for bash-completion's completions/prony */

#endif
