/* A run as a grid: one cell for each variant's turn in each block. What estimates, comparisons and
 * notes are made from. */
#ifndef PRONY_BENCH_CELLS_H
#define PRONY_BENCH_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "bench/metrics.h"
#include "stats/stats.h"

struct cell {
    const struct record_process *process; /* NULL: none that went well */
    double values[METRIC_COUNT];          /* SI units; NaN where not measured */
    struct stats_trend trend;             /* of its counted steps */
};

struct cells {
    size_t variants, blocks;
    struct cell *cell; /* [variants, blocks] */
};

/* STATUS_FORMAT when a process names a variant or a block that cannot be. */
enum status cells_make(struct cells *cells, const struct record_run *run, struct arena *arena,
                       struct error *err);
const struct cell *cells_at(const struct cells *cells, size_t variant, size_t block);

/* Logarithm of a metric in one block, larger when it is better; NaN when it was not measured. TPOT
 * is compared by each process's median step. */
double cells_log_value(const struct cells *cells, size_t variant, enum metric metric, size_t block);
/* Log ratio of a metric in one block; above 0 means variant a is better. NaN unless both were
 * measured. */
double cells_log_ratio(const struct cells *cells, size_t a, size_t b, enum metric metric,
                       size_t block);

#endif
