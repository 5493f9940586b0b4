/* One worker by itself, step by step, for whoever writes an engine: nothing is stored or compared.
 */
#ifndef PRONY_BENCH_SOLO_H
#define PRONY_BENCH_SOLO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "engine/form.h"

struct solo_request {
    const char *name;         /* an engine: its first variant; or a variant */
    const char *model_path;   /* as --model-path */
    const char *device, *pci; /* pci: of the card, as in machine/gpu.h */
    struct engine_form form;
    const char *trace_path; /* profile of the timed tokens; NULL: none */
    const char *log_path;   /* gets what the worker writes */
    uint32_t threads;       /* 0: the engine's own choice */
    uint32_t context;       /* 0: what the tokens need */
    uint32_t tokens, warmup;
    bool no_memory_check; /* load what is not expected to fit */
    int cancel_fd;
};

/* Prints each step's time on stream as it is over. */
enum status solo_run(const struct solo_request *request, FILE *stream, struct error *err);

#endif
