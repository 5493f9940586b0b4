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

/* Of float32 log-probabilities: how far their sum's exponentials may be from what it should be. */
static const double rounding = 1e-6;

/* All ids that are not told, as one. p: the reference's share of them; told: the sum of the others
 * by the other. What rounding leaves open of its share is taken as the reference has it. KL is the
 * sum of p log(p/q) - p + q, terms of which none is negative, though shares be rounded. */
static double rest_divergence(double p, double told)
{
    double q = fmax(1 - told, 0);
    q = fmax(q - rounding, fmin(p, q + rounding));
    return (p > 0 ? p * log(p / q) : 0) - p + q;
}

/* The ids together, and those that are not told as one more, are a partition: divergence of a
 * partition is at most that of what it is made from (the data-processing inequality). A logit is a
 * log-probability plus something that all of a row share; whatever that is, one of those told is
 * off by half the spread of their differences, or more. */
void divergence_of_part(const float *reference, const float *part, size_t count,
                        struct divergence_row *row)
{
    struct extent own;
    double kl = 0, told = 0, rest = 0, least = INFINITY, most = -INFINITY;
    *row = (struct divergence_row){.part = true};
    if (!extent_of(reference, count, &own))
        return;
    for (size_t i = 0; i < count; i++) {
        double x = (double)reference[i] - own.high - own.log_sum, y = (double)part[i];
        if (isnan(y)) {
            rest += exp(x);
            continue;
        }
        if (row->told++ == 0 || y > (double)part[row->other_best])
            row->other_best = i;
        kl += exp(x) * (x - y) - exp(x) + exp(y);
        told += exp(y);
        least = fmin(least, x - y);
        most = fmax(most, x - y);
    }
    row->finite = isfinite(kl) && told <= 1 + rounding;
    if (!row->finite || !row->told)
        return;
    row->kl = fmax(kl + rest_divergence(rest, told), 0);
    row->error = share((most - least) / 2, &own);
    row->best = own.best;
    row->margin = share(own.high - (double)reference[row->other_best], &own);
}

void divergence_start(struct divergence *divergence)
{
    *divergence = (struct divergence){.first = -1};
}

void divergence_add(struct divergence *divergence, const struct divergence_row *row)
{
    size_t at = divergence->rows++;
    if (row->part && !row->told) {
        divergence->untold++;
        return;
    }
    divergence->told_most = row->told > divergence->told_most ? row->told : divergence->told_most;
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
