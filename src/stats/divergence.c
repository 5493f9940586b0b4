#include "stats/divergence.h"

#include <math.h>

/* What a softmax and a range are made from. */
struct extent {
    double low, high;
    size_t best;
    double log_sum; /* log of the sum of exp(x - high) */
};

static bool extent_of(const float *row, size_t count, struct extent *extent)
{
    *extent = (struct extent){.low = INFINITY, .high = -INFINITY};
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(row[i]))
            return false;
        extent->low = fmin(extent->low, (double)row[i]);
        if ((double)row[i] > extent->high) {
            extent->high = (double)row[i];
            extent->best = i;
        }
    }
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)row[i] - extent->high);
    extent->log_sum = log(fmax(sum, 1)); /* the largest alone adds 1 */
    return true;
}

/* A row whose logits are all the same has no scale; every difference is then infinitely large. */
static double share(double difference, const struct extent *extent)
{
    double range = extent->high - extent->low;
    return difference == 0 ? 0 : difference / range;
}

void divergence_of_row(const float *reference, const float *other, size_t count,
                       struct divergence_row *row)
{
    struct extent own, its;
    *row = (struct divergence_row){0};
    row->finite = extent_of(reference, count, &own) && extent_of(other, count, &its);
    if (!row->finite)
        return;
    double kl = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        double x = (double)reference[i] - own.high - own.log_sum;
        double y = (double)other[i] - its.high - its.log_sum;
        kl += exp(x) * (x - y);
        error = fmax(error, fabs((double)reference[i] - (double)other[i]));
    }
    row->kl = fmax(kl, 0); /* it is not negative but for the rounding of the sum */
    row->error = share(error, &own);
    row->best = own.best;
    row->other_best = its.best;
    row->margin = share(own.high - (double)reference[its.best], &own);
}

void divergence_start(struct divergence *divergence)
{
    *divergence = (struct divergence){.first = -1};
}

void divergence_add(struct divergence *divergence, const struct divergence_row *row)
{
    size_t at = divergence->rows++;
    if (!row->finite) {
        divergence->broken++;
        return;
    }
    divergence->kl_sum += row->kl;
    divergence->kl_most = fmax(divergence->kl_most, row->kl);
    divergence->error_most = fmax(divergence->error_most, row->error);
    if (row->best == row->other_best) {
        divergence->agreeing++;
        return;
    }
    divergence->margin_most = fmax(divergence->margin_most, row->margin);
    if (divergence->first < 0) {
        divergence->first = (int64_t)at;
        divergence->first_margin = row->margin;
    }
}

double divergence_margin(const float *reference, size_t count, size_t chosen)
{
    struct extent extent;
    if (chosen >= count || !extent_of(reference, count, &extent))
        return INFINITY;
    return share(extent.high - (double)reference[chosen], &extent);
}
