/* What manifest and plan say of the model that a run measured, and where. */
#ifndef PRONY_REPORT_FACTS_H
#define PRONY_REPORT_FACTS_H

#include "base/arena.h"
#include "base/error.h"
#include "store/record.h"

struct run_facts {
    const char *model;      /* the file's or folder's name; "" when the manifest has none */
    const char *model_size; /* parameters: "135M", "1.24B"; "" likewise */
    const char *gpu;        /* "NVIDIA H200"; "" when the CPU was measured */
};

/* Strings live in the arena. A manifest or plan that is not JSON is STATUS_FORMAT. */
enum status run_facts_make(struct run_facts *facts, const struct record_run *run,
                           struct arena *arena, struct error *err);

#endif
