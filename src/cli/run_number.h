/* Numbers of runs, as commands take them. */
#ifndef PRONY_CLI_RUN_NUMBER_H
#define PRONY_CLI_RUN_NUMBER_H

#include <stdint.h>

#include "base/error.h"

/* STATUS_USAGE when text is not a whole number from 1. */
enum status run_number_parse(const char *text, int64_t *run, struct error *err);

#endif
