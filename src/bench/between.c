#include "bench/between.h"

#include <math.h>

#include "bench/cells.h"
#include "stats/stats.h"

/* The logarithm of each block's value, larger when better. */
static enum status side_logs(const struct between_side *side, enum metric metric, double **logs,
                             size_t *count, struct arena *arena, struct error *err)
{
    struct cells cells;
    enum status status = cells_make(&cells, side->summary->run, arena, err);
    if (status)
        return status;
    *count = 0;
    *logs = arena_array(arena, cells.blocks + 1, sizeof **logs);
    if (!*logs)
        return error_no_memory(err, cells.blocks * sizeof **logs);
    for (size_t block = 0; block < cells.blocks; block++) {
        double value = cells_log_value(&cells, side->variant, metric, block);
        if (isfinite(value))
            (*logs)[(*count)++] = value;
    }
    return STATUS_OK;
}

enum status between_make(struct between *between, const struct between_side *a,
                         const struct between_side *b, enum metric metric, struct arena *arena,
                         struct error *err)
{
    double *logs_a = NULL, *logs_b = NULL;
    *between = (struct between){.p = 1, .verdict = VERDICT_NONE};
    if (a->summary->variants[a->variant].equivalence == EQUIVALENCE_FAILED ||
        b->summary->variants[b->variant].equivalence == EQUIVALENCE_FAILED)
        return STATUS_OK;
    enum status status = side_logs(a, metric, &logs_a, &between->blocks_a, arena, err);
    if (!status)
        status = side_logs(b, metric, &logs_b, &between->blocks_b, arena, err);
    if (status)
        return status;
    between->zone = fmax(a->summary->controls[metric].zone, b->summary->controls[metric].zone);
    if (!between->blocks_a || !between->blocks_b)
        return STATUS_OK;
    struct stats_difference difference =
        stats_welch(logs_a, between->blocks_a, logs_b, between->blocks_b);
    struct stats_interval interval = stats_difference_interval(&difference, 0.95);
    between->deviation_a = stats_deviation(logs_a, between->blocks_a);
    between->deviation_b = stats_deviation(logs_b, between->blocks_b);
    between->ratio = (struct estimate){
        .known = true,
        .value = exp(interval.value),
        .low = exp(interval.low),
        .high = exp(interval.high),
        .blocks = between->blocks_a < between->blocks_b ? between->blocks_a : between->blocks_b};
    between->p = stats_difference_zone_p(&difference, between->zone);
    between->verdict = verdict_of(&between->ratio, between->zone, between->p);
    return STATUS_OK;
}

enum status between_family(struct between *family, size_t count, struct arena *arena,
                           struct error *err)
{
    double *p = arena_array(arena, 2 * count + 1, sizeof *p);
    if (!p)
        return error_no_memory(err, count * sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = family[i].p;
    stats_holm(p, count, p + count);
    for (size_t i = 0; i < count; i++)
        family[i].verdict = verdict_of(&family[i].ratio, family[i].zone, p[count + i]);
    return STATUS_OK;
}

/* Half the interval that so many blocks would give, were the spreads to stay as they are. */
static double half_width(const struct between *between, size_t more)
{
    double na = (double)(between->blocks_a + more), nb = (double)(between->blocks_b + more);
    double u = pow(between->deviation_a, 2) / na, v = pow(between->deviation_b, 2) / nb;
    double freedom = (u + v) * (u + v) / (u * u / (na - 1) + v * v / (nb - 1));
    return u + v > 0 ? student_t_quantile(0.975, freedom) * sqrt(u + v) : 0;
}

static size_t blocks_missing(const struct between *between, double edge)
{
    double distance = fabs(log(between->ratio.value) - edge);
    if (between->ratio.blocks < 2)
        return VERDICT_BLOCKS - between->ratio.blocks;
    for (size_t more = 1; more <= GATE_MOST_BLOCKS; more++)
        if (between->ratio.blocks + more >= VERDICT_BLOCKS && half_width(between, more) < distance)
            return more;
    return 0;
}

struct gate between_gate(const struct between *between, double limit)
{
    struct gate gate = gate_judge(&between->ratio, limit);
    if (gate.outcome == GATE_UNDECIDED)
        gate.more_blocks = blocks_missing(between, -log1p(limit));
    return gate;
}
