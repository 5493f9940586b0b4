/* The life of one worker process: start, load, cold generate, warm-up, timed generate, end. */
#ifndef PRONY_BENCH_PROCESS_H
#define PRONY_BENCH_PROCESS_H

#include "base/arena.h"
#include "base/error.h"
#include "bench/plan.h"
#include "bench/progress.h"
#include "engine/worker.h"
#include "machine/energy.h"
#include "store/record.h"

struct process_task {
    const struct plan *plan;
    uint32_t variant; /* index in plan->variants */
    const struct plan_point *point;
    const char *compile_cache; /* a folder instead of the engine's own; NULL: its own */
    struct energy *energy;     /* counters to read; NULL: none */
    struct energy_idle idle;   /* what they counted while nothing ran */
    double pages_resident;     /* share of the model in the page cache; NaN: unknown */
    int cancel_fd;             /* -1: none */
    const struct progress *progress;
};

/* What the engine said of itself; strings are empty until it did. */
struct process_versions {
    char engine_version[64], stands_on[WORKER_TEXT], detail[WORKER_TEXT];
};

/* Measures one process into a record whose block, position and variant are filled by the caller;
 * its arrays and strings live in the arena. A failing engine is not an error: the record says so
 * in failure. STATUS_INTERRUPTED and a lack of memory are, and leave the record unfit to be stored.
 */
enum status process_measure(const struct process_task *task, struct record_process *record,
                            struct process_versions *versions, struct arena *arena,
                            struct error *err);

#endif
