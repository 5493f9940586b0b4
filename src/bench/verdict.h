/* What a ratio of two variants comes to, in a word. */
#ifndef PRONY_BENCH_VERDICT_H
#define PRONY_BENCH_VERDICT_H

#include "bench/estimate.h"

enum { VERDICT_BLOCKS = 6 }; /* fewer give no verdict */

enum verdict { VERDICT_FASTER, VERDICT_SLOWER, VERDICT_SAME, VERDICT_UNDECIDED, VERDICT_NONE };

/* ratio: above 1 when better. zone: of indifference, a logarithm. adjusted_p: that the ratio lies
 * within the zone. The interval must lie clear of the zone's edge, or inside it: what straddles is
 * undecided. */
enum verdict verdict_of(const struct estimate *ratio, double zone, double adjusted_p);

#endif
