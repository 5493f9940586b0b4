#include "bench/estimate.h"

#include <math.h>

#include "stats/stats.h"

struct estimate estimate_make(double *values, size_t count, bool ratio_scale)
{
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        double value = ratio_scale ? log(values[i]) : values[i];
        if (isfinite(value))
            values[known++] = value;
    }
    if (!known)
        return (struct estimate){0};
    struct stats_interval of = stats_mean_interval(values, known, 0.95);
    if (ratio_scale)
        of = (struct stats_interval){exp(of.value), exp(of.low), exp(of.high)};
    return (struct estimate){
        .known = true, .value = of.value, .low = of.low, .high = of.high, .blocks = known};
}
