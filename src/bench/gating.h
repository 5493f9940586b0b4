/* The equivalence gate of a run: every variant's logits against the float32 reference's before the
 * timing, and the ids that were timed against the same reference afterwards. */
#ifndef PRONY_BENCH_GATING_H
#define PRONY_BENCH_GATING_H

#include "base/error.h"
#include "bench/plan.h"
#include "bench/progress.h"
#include "store/store.h"

struct gating {
    const struct plan *plan;
    struct store *store;
    int64_t run;
    int cancel_fd; /* -1: none */
    const struct progress *progress;
};

/* Teacher-forces the plan's stream through each variant that has no record in the store yet, and
 * stores what was found. A variant that cannot be gated is no error: its record says why. Errors
 * are STATUS_INTERRUPTED and the store's. */
enum status gating_streams(const struct gating *gating, struct error *err);

/* Holds the ids that the run's processes generated against the reference: a decode path may be
 * wrong where logits are right. Same errors. */
enum status gating_greedy(const struct gating *gating, struct error *err);

#endif
