/* What each process starts from: the model's pages in the page cache or out of it, the engine's
 * compile cache full or empty. Only points of the load matrix change anything. */
#ifndef PRONY_BENCH_COLDNESS_H
#define PRONY_BENCH_COLDNESS_H

#include <limits.h>

#include "base/arena.h"
#include "base/error.h"
#include "bench/plan.h"
#include "bench/process.h"

struct coldness {
    const struct plan *plan;
    char root[PATH_MAX];  /* this session's compile caches; "" before there are any */
    char fresh[PATH_MAX]; /* of the process at hand; "": it has none of its own */
    bool warmed[256];     /* by variant: its cache of this session is full */
};

void coldness_begin(struct coldness *coldness, const struct plan *plan);
/* Makes what the task's point asks for, and fills its compile_cache and pages_resident. A warm
 * compile cache is one that an earlier process of the variant has filled: the first time, one is
 * run for it and not recorded. STATUS_INTERRUPTED, or no place for the caches. */
enum status coldness_prepare(struct coldness *coldness, struct process_task *task,
                             struct arena *arena, struct error *err);
/* After the process: its own cache goes. */
void coldness_tidy(struct coldness *coldness);
/* All caches of the session go. */
void coldness_end(struct coldness *coldness);

#endif
