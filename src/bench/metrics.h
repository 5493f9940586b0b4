/* The metrics: what each is called, its unit, its group, and which direction is better. One table
 * drives the summary, the terminal table, CSV headers, JSON keys and the documentation. */
#ifndef PRONY_BENCH_METRICS_H
#define PRONY_BENCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>

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
    METRIC_WARMUP_IMPROVEMENT,
    METRIC_MODEL_MEMORY,
    METRIC_PEAK_MEMORY,
    METRIC_MEMORY_OVERHEAD,
    METRIC_DEVICE_MEMORY,
    METRIC_BANDWIDTH,   /* what the probe read */
    METRIC_LIMIT_SHARE, /* % of limit */
    METRIC_COUNT
};

enum metric_group {
    GROUP_LOADING,
    GROUP_LATENCY,
    GROUP_THROUGHPUT,
    GROUP_MEMORY,
    GROUP_PRECISION,
    GROUP_TRUST,
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
    const char *meaning; /* one sentence, for docs and --help */
};

extern const struct metric_info metric_infos[METRIC_COUNT];
extern const char *const metric_group_titles[GROUP_COUNT];

#endif
