/* The result record's classic figures: names that stay as they are, each of which stands for one
 * metric. JSON and CSV write them first. */
#ifndef PRONY_REPORT_CLASSIC_H
#define PRONY_REPORT_CLASSIC_H

#include "bench/metrics.h"

struct classic_figure {
    const char *key; /* "avg_token_time" */
    enum metric metric;
    double scale; /* SI value * scale = the figure: seconds, tokens/s, GB of 1e9 bytes */
};

enum { CLASSIC_FIGURES = 9 };

extern const struct classic_figure classic_figures[CLASSIC_FIGURES];

#endif
