/* Whether one variant may take the place of another: a verdict in one direction. */
#ifndef PRONY_BENCH_GATE_H
#define PRONY_BENCH_GATE_H

#include "bench/estimate.h"

enum { GATE_MOST_BLOCKS = 1000 }; /* more are not counted */

enum gate_outcome { GATE_PASS, GATE_REGRESSION, GATE_UNDECIDED };

struct gate {
    enum gate_outcome outcome;
    double limit;       /* fraction by which the candidate may be worse: 0.03 */
    size_t more_blocks; /* that would decide if the spread stays as it is, when undecided; 0: too
                           many, since the estimate lies on the limit */
};

/* ratio: of the candidate to the baseline, above 1 when it is better, known. It passes when its
 * interval lies above the limit, is a regression when it lies below, and is undecided else, or with
 * fewer than VERDICT_BLOCKS blocks. */
struct gate gate_judge(const struct estimate *ratio, double limit);
/* Blocks beyond those measured whose interval would leave the edge (a log ratio), were estimate and
 * spread to stay as they are; 0: more than GATE_MOST_BLOCKS. */
size_t gate_blocks_missing(const struct estimate *ratio, double edge);

#endif
