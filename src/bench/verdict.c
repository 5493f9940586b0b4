#include "bench/verdict.h"

#include <math.h>

static const double significance = 0.05;

enum verdict verdict_of(const struct estimate *ratio, double zone, double adjusted_p)
{
    if (ratio->blocks < VERDICT_BLOCKS)
        return VERDICT_NONE;
    if (adjusted_p < significance)
        return ratio->value > 1 ? VERDICT_FASTER : VERDICT_SLOWER;
    if (log(ratio->low) >= -zone && log(ratio->high) <= zone)
        return VERDICT_SAME;
    return VERDICT_UNDECIDED;
}
