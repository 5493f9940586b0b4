#include "bench/gate.h"

#include <math.h>

#include "bench/verdict.h"
#include "stats/stats.h"

static double half_width(double deviation, size_t blocks)
{
    return student_t_quantile(0.975, (double)(blocks - 1)) * deviation / sqrt((double)blocks);
}

size_t gate_blocks_missing(const struct estimate *ratio, double edge)
{
    double distance = fabs(log(ratio->value) - edge);
    double half = log(ratio->high / ratio->low) / 2;
    if (ratio->blocks < 2)
        return VERDICT_BLOCKS - ratio->blocks;
    double deviation = half / half_width(1, ratio->blocks);
    for (size_t more = 1; more <= GATE_MOST_BLOCKS; more++)
        if (ratio->blocks + more >= VERDICT_BLOCKS &&
            half_width(deviation, ratio->blocks + more) < distance)
            return more;
    return 0;
}

struct gate gate_judge(const struct estimate *ratio, double limit)
{
    double edge = -log1p(limit);
    struct gate gate = {.outcome = GATE_UNDECIDED, .limit = limit};
    if (ratio->blocks >= VERDICT_BLOCKS && log(ratio->low) >= edge)
        gate.outcome = GATE_PASS;
    else if (ratio->blocks >= VERDICT_BLOCKS && log(ratio->high) < edge)
        gate.outcome = GATE_REGRESSION;
    else
        gate.more_blocks = gate_blocks_missing(ratio, edge);
    return gate;
}
