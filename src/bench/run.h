/* A run: blocks of fresh processes in balanced order, each stored as it ends. */
#ifndef PRONY_BENCH_RUN_H
#define PRONY_BENCH_RUN_H

#include "base/error.h"
#include "bench/plan.h"
#include "store/store.h"

struct run_options {
    struct store *store;
    int64_t run;    /* begun in the store; what it holds already is not run again */
    int cancel_fd;  /* readable: stop; -1: none */
    FILE *progress; /* NULL: silent */
};

/* A variant that failed in so many blocks is left out of the ones that follow. A block that was
 * disturbed is done again so many times at most, and then counts as it is. */
enum { RUN_FAILURES = 2, RUN_REDOS = 2 };

/* STATUS_INTERRUPTED and errors of the store end it early; what was stored stays, and the run's
 * state says "interrupted". Failing engines are not errors. */
enum status run_execute(const struct plan *plan, const struct run_options *options,
                        struct error *err);
/* Columns of the run, for store_run_begin; strings are the plan's. [plan->variant_count] */
void run_variants(const struct plan *plan, struct record_variant *variants);

#endif
