/* What a run's charts are drawn from, besides the summary's figures: every counted token, every
 * block, every part of a start. Like the summary a pure function of the record. */
#ifndef PRONY_BENCH_SERIES_H
#define PRONY_BENCH_SERIES_H

#include "base/arena.h"
#include "base/error.h"
#include "bench/summary.h"

/* Times are seconds. */
struct series_range {
    double low, median, high;
};

/* The counted tokens of one process: its turn in one block. */
struct series_block {
    size_t block; /* 0-based */
    const double *steps;
    size_t step_count;
    double median;
};

enum series_stage { STAGE_PROCESS, STAGE_LOAD, STAGE_FIRST_TOKEN };

/* One part of a start, as the mean over processes: "process", "import", "read", "first token". */
struct series_part {
    const char *name;
    enum series_stage stage;
    double seconds;
};

struct series_variant {
    struct series_block *blocks; /* those in which it was measured */
    size_t block_count;
    /* Of all counted tokens together; not a number when there is none. */
    double lowest, quarter, median, three_quarters, highest;
    struct series_range *tokens; /* decode steps in order, warm-up included, over processes */
    size_t token_count, warmup;
    struct series_part *parts; /* of a start, in order; together the whole start */
    size_t part_count;
    double limit_rate; /* tokens/s if the memory's bandwidth were all that counts; 0: not known */
};

/* A process during which something else disturbed the machine. */
struct series_disturbance {
    size_t variant, block, attempt; /* 0-based */
    bool counts;                    /* its attempt is the block's last */
    const char *what;               /* "other programs used 0.98 cores" */
};

struct series {
    struct series_variant *variants; /* as in the summary */
    size_t variant_count;
    struct series_disturbance *disturbances; /* in the order of execution */
    size_t disturbance_count;
};

/* Everything lives in the arena. */
enum status series_make(struct series *series, const struct summary *summary, struct arena *arena,
                        struct error *err);

#endif
