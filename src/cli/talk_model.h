/* The model that --model names: a path, or a name of a hub, which may have to be got first. */
#ifndef PRONY_CLI_TALK_MODEL_H
#define PRONY_CLI_TALK_MODEL_H

#include <limits.h>
#include <stdbool.h>

#include "base/error.h"

/* Gives the path of the model called text. One that is not on this machine is downloaded when
 * that is asked for, or a person at a terminal agrees; else it is an error that names the command
 * which gets it. STATUS_INTERRUPTED: Ctrl-C in between. */
enum status talk_model_find(const char *text, bool download, char path[PATH_MAX],
                            struct error *err);

#endif
