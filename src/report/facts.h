/* What a run measured: its model, as manifest and plan have it, where, and how much of it. */
#ifndef PRONY_REPORT_FACTS_H
#define PRONY_REPORT_FACTS_H

#include "base/arena.h"
#include "base/error.h"
#include "bench/summary.h"

struct run_facts {
    const char *model;      /* the file's or folder's name; "" when the manifest has none */
    const char *model_size; /* parameters: "135M", "1.24B"; "" likewise */
    bool fair;              /* threads and context were the same for all */
    const char *gpu;        /* "NVIDIA H200"; "" when the CPU was measured */
};

/* Strings live in the arena. A manifest or plan that is not JSON is STATUS_FORMAT. */
enum status run_facts_make(struct run_facts *facts, const struct record_run *run,
                           struct arena *arena, struct error *err);

/* "Run 7: SmolLM2.gguf (135M) on NVIDIA H200, 10 blocks, 20 tokens after a prompt of 64,
 * no fair comparison, interrupted". NULL: no memory. */
const char *run_caption(const struct run_facts *facts, const struct summary *summary,
                        struct arena *arena);

#endif
