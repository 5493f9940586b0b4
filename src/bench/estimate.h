/* What is known of a figure: the mean over blocks, and how sure it is. */
#ifndef PRONY_BENCH_ESTIMATE_H
#define PRONY_BENCH_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>

/* A value in SI units (seconds, bytes, tokens/s, fractions), with a 95 % interval over blocks. */
struct estimate {
    bool known;       /* false: not measured; see why, else what its owner says */
    double value;     /* mean over blocks of per-process values (logs where a ratio scale) */
    double low, high; /* equal to value where there is no interval: one block, an extreme */
    size_t blocks;
    const char *why;     /* when not known, if there is a reason of its own: "needs 64 samples" */
    const char *against; /* name of the variant that a ratio is to; NULL: it is no such ratio */
};

/* The mean of count values, NaN ones left out, with its 95 % interval: of logarithms where
 * ratio_scale. Overwrites values; not known when none is there. */
struct estimate estimate_make(double *values, size_t count, bool ratio_scale);
#endif
