/* The metrics: what each is called, its unit, its group, and which direction is better. One table
 * drives the summary, the terminal table, CSV headers, JSON keys and the documentation. */
#ifndef PRONY_BENCH_METRICS_H
#define PRONY_BENCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/record.h"

enum metric {
    METRIC_MODEL_LOAD,
    METRIC_PROCESS_START,
    METRIC_COLD_START,
    METRIC_START_TO_FIRST_TOKEN,
    METRIC_TTFT,
    METRIC_PREFILL_RATE,
    METRIC_TPOT, /* steady-state latency */
    METRIC_TPOT_MIN,
    METRIC_TPOT_MAX,
    METRIC_TPOT_MEDIAN,
    METRIC_TPOT_P90,
    METRIC_TPOT_P99,
    METRIC_THROUGHPUT,
    METRIC_PEAK_THROUGHPUT,
    METRIC_TOTAL_TIME, /* of the timed generate, warm-up included */
    METRIC_WARMUP_IMPROVEMENT,
    METRIC_WEIGHTS, /* as held */
    METRIC_MODEL_MEMORY,
    METRIC_PEAK_MEMORY,
    METRIC_MEMORY_OVERHEAD,
    METRIC_DEVICE_MEMORY,
    METRIC_PRECISION_IMPACT, /* against the engine's float32 variant */
    METRIC_COMPILE_BENEFIT,  /* against the engine's uncompiled variant */
    METRIC_SHARD_EFFICIENCY, /* against the same variant unsplit */
    METRIC_EXCHANGED,        /* bytes of a token, */
    METRIC_EXCHANGE_TIME,    /* and the time that they took */
    METRIC_BANDWIDTH,        /* what the probe read */
    METRIC_LIMIT_SHARE,      /* % of limit */
    METRIC_ENERGY,           /* joules of a token, idle power subtracted */
    METRIC_IDLE_POWER,
    METRIC_TREND,   /* of the steps that count, from the first to the last */
    METRIC_KL_MEAN, /* from the float32 reference, as the gate found it */
    METRIC_KL_MOST,
    METRIC_TOP1,
    METRIC_LOGIT_ERROR,
    METRIC_COUNT
};

enum metric_group {
    GROUP_LOADING,
    GROUP_LATENCY,
    GROUP_THROUGHPUT,
    GROUP_MEMORY,
    GROUP_ENERGY,
    GROUP_PRECISION,
    GROUP_SHARDS,
    GROUP_TRUST,
    GROUP_STARTS,  /* of the load matrix, */
    GROUP_LENGTHS, /* and of a sweep: one metric at several points */
    GROUP_COUNT
};

struct metric_info {
    const char *key;   /* JSON and CSV: "model_load_s" */
    const char *title; /* table: "Model Load (s)" */
    const char *unit;  /* "s", "ms", "tok/s", "GB", "%", "x" */
    double scale;      /* stored SI value * scale = shown value */
    int decimals;
    enum metric_group group;
    int better;          /* -1 lower, +1 higher, 0 neither */
    bool classic;        /* always in the table; the others with --wide */
    bool ratio_scale;    /* positive, compared by factors: averaged as logarithms */
    const char *meaning; /* one sentence, for docs and --help */
};

/* One process's value of every metric in SI units; NaN where it did not measure it. Extremes,
 * median and percentiles of steps are left to process_steps, ratios to another variant to the
 * summary: they are NaN. */
void process_metrics(const struct record_process *process, double values[METRIC_COUNT]);
/* Steps that count: intervals between stamps after the warm-up, in seconds. Writes at most
 * token_count of them; returns how many. */
size_t process_steps(const struct record_process *process, double *seconds);

extern const struct metric_info metric_infos[METRIC_COUNT];
extern const char *const metric_group_titles[GROUP_COUNT];

#endif
