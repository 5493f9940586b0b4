/* A program that an installation needs for a while: an interpreter, its pip. It cannot outlive
 * this process; what it writes goes to a log, which errors quote. */
#ifndef PRONY_ENGINE_TOOL_H
#define PRONY_ENGINE_TOOL_H

#include <stdbool.h>

#include "base/error.h"

struct tool {
    const char *folder;   /* where it is started */
    const char *log_path; /* gets its output */
    int cancel_fd;        /* readable → it is killed, STATUS_INTERRUPTED; -1: none */
    bool no_pip_settings; /* the user's PIP_* variables are kept from it as well */
    /* Called a few times a second while it runs; NULL: nobody watches. */
    void (*watch)(void *context);
    void *context;
};

/* Runs argv to its end, without the user's PYTHON* variables. environment as in base/child.h.
 * STATUS_WORKER when it does not end with status 0; what it said is then quoted. */
enum status tool_run(const struct tool *tool, const char *const *argv,
                     const char *const *environment, struct error *err);

#endif
