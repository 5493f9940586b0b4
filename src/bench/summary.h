/* What a run found: a pure function of its record. Reports print this and compute nothing. */
#ifndef PRONY_BENCH_SUMMARY_H
#define PRONY_BENCH_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "bench/equivalence.h"
#include "bench/estimate.h"
#include "bench/metrics.h"
#include "bench/verdict.h"
#include "store/record.h"

struct summary_variant {
    const struct record_variant *variant;
    size_t processes, failures, disturbed; /* that count: selection.h */
    const char *why;      /* of the last failure, or why nothing was measured; NULL when all well */
    const char *log_tail; /* end of that failure's log, or NULL */
    const char *precision; /* of the weights as held; what the variant declares until known */
    unsigned threads;      /* that it used; 0: not known */
    struct estimate metrics[METRIC_COUNT];
    bool falling;         /* its tokens still became faster while they counted: not steady */
    bool compiled;        /* it compiles the model */
    const char *quantize; /* "int8", ... that it was asked to quantise to; NULL: to nothing */
    unsigned shard;       /* devices that it was split over */
    enum equivalence equivalence;
    const char *equivalence_reason; /* why it failed or was not gated; else NULL */
    bool control; /* the A/A control: compared with what it repeats, and with nothing else */
};

/* The A/A control of a metric, and the zone of indifference that follows from it. */
struct control {
    struct estimate ratio; /* the yardstick against itself; not known without a control */
    double zone;           /* logarithm of a factor: below it, a difference is none */
};

/* Where a sweep or the load matrix measured besides; point 0 is the run's own. */
struct summary_point {
    uint32_t prompt_tokens, context;
    const char *pages, *compile_cache; /* "cold", "warm" of the load matrix; NULL of a sweep */
    double resident; /* share of the model in the page cache as processes started; NaN: unknown */
    struct estimate (*metrics)[METRIC_COUNT]; /* [variants]; extremes and percentiles not known */
};

/* Variant a against b on one metric, paired by block: ratio > 1 means a is better. */
struct comparison {
    size_t a, b; /* indexes in summary.variants */
    enum metric metric;
    struct estimate ratio;
    size_t more_blocks;   /* that would decide what is undecided, were estimate and spread to stay
                           * as they are; 0: decided, or too many to count */
    enum verdict verdict; /* NONE with too few blocks: nothing is claimed */
};

struct summary {
    const struct record_run *run;    /* with the processes that count, in the arena */
    const struct record_run *record; /* all that was recorded, as the caller gave it */
    size_t redone;                   /* attempts at blocks that were disturbed and do not count */
    size_t disturbed;                /* blocks that count and were disturbed all the same */
    size_t control, control_of;      /* variants; both 0: the run has no control */
    struct control controls[METRIC_COUNT]; /* of the metrics that are compared */
    struct summary_variant *variants;
    size_t variant_count;
    size_t blocks;         /* in which every variant that can run was measured */
    size_t blocks_planned; /* 0: the plan does not say */
    size_t iterations;     /* decode steps counted in each process */
    size_t prompt_tokens;
    bool on_gpu;
    bool synthetic;           /* the prompt and the gate's stream are ids that mean nothing */
    const char *const *notes; /* what limits the trust in it: whole sentences, one line each */
    size_t note_count;
    struct summary_point *points; /* [point_count]; none where the run has point 0 alone */
    size_t point_count;
    struct comparison *comparisons;
    size_t comparison_count;
    struct arena arena;
};

enum status summary_make(struct summary *summary, const struct record_run *run, struct error *err);
/* Whether some comparison has a verdict; where none has, the reader is told once for all. */
bool summary_has_verdict(const struct summary *summary);
void summary_free(struct summary *summary);

#endif
