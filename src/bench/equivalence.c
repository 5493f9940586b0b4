#include "bench/equivalence.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"

/* A share or divergence beyond this says no more, and JSON has no infinity. */
static const double most = 1e9;

const char *const equivalence_names[] = {[EQUIVALENCE_UNKNOWN] = "not checked",
                                         [EQUIVALENCE_GIVEN] = "equivalent",
                                         [EQUIVALENCE_FAILED] = "not equivalent",
                                         [EQUIVALENCE_UNGATED] = "not gated"};

/* unit: the roundoff of a precision relative to bfloat16's (2^-9). A logit's error grows with it,
 * KL with its square. The factors are what honest implementations reach beyond the scale
 * (docs/equivalence.md); float32's are larger, since sums in another order, which rounding of
 * outputs does not show, are all of its error. Those of int8, nf4 and q8_0 are over another
 * scale, what the same quantising does in the native engine. */
static const struct {
    const char *precision;
    double unit, kl_factor, error_factor;
} bounds[] = {
    {"float32", 0x1p-16, 16384, 128},
    {"float16", 0x1p-3, 4, 5.5},
    {"bfloat16", 1, 4, 5.5},
    {"mixed", 0x1p-3, 4, 5.5},
    {"int8", 1, 2.3, 2},
    {"nf4", 1, 1.5, 1.5},
    {"q8_0", 1, 2.2, 2.3},
};

size_t equivalence_quantised(const char *quantize)
{
    static const char *const words[] = {
        [EQUIVALENCE_INT8] = "int8", [EQUIVALENCE_NF4] = "nf4", [EQUIVALENCE_Q8_0] = "q8_0"};
    size_t which = 0;
    while (which < EQUIVALENCE_QUANTISED && (!quantize || strcmp(quantize, words[which]) != 0))
        which++;
    return which;
}

struct equivalence_scale equivalence_scale_of(const struct divergence *divergence)
{
    return (struct equivalence_scale){divergence->kl_sum / (double)divergence->rows,
                                      divergence->error_most};
}

bool equivalence_bounds(const char *precision, const struct equivalence_scale *scale,
                        double *kl_bound, double *error_bound)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (strcmp(precision, bounds[i].precision) != 0)
            continue;
        double unit = bounds[i].unit;
        *kl_bound = bounds[i].kl_factor * unit * unit * scale->kl_mean;
        *error_bound = bounds[i].error_factor * unit * scale->error_most;
        return true;
    }
    return false;
}

void equivalence_record(struct record_equivalence *record, const struct divergence *divergence)
{
    size_t positions = divergence->rows - divergence->untold,
           sound = positions - divergence->broken;
    record->positions = (uint32_t)positions;
    record->told = (uint32_t)divergence->told_most;
    record->broken = (uint32_t)divergence->broken;
    record->agreeing = (uint32_t)divergence->agreeing;
    record->kl_mean = sound ? fmin(divergence->kl_sum / (double)sound, most) : 0;
    record->kl_most = fmin(divergence->kl_most, most);
    record->error_most = fmin(divergence->error_most, most);
    record->first = divergence->first;
    record->first_margin = fmin(divergence->first_margin, most);
}

bool equivalence_is_by_ids(const struct record_equivalence *record)
{
    return !record->why && !record->positions && record->error_bound > 0;
}

double equivalence_margin_bound(const struct record_equivalence *record)
{
    return 2 * record->error_bound;
}

enum equivalence equivalence_judge(const struct record_equivalence *record)
{
    if (record && equivalence_is_by_ids(record) && !record->greedy_ids)
        return EQUIVALENCE_UNGATED;
    if (!record || (!record->positions && !record->why && !record->greedy_ids))
        return EQUIVALENCE_UNKNOWN;
    if (record->why)
        return EQUIVALENCE_UNGATED;
    if (record->broken || record->kl_mean > record->kl_bound ||
        record->error_most > record->error_bound ||
        record->greedy_margin > equivalence_margin_bound(record))
        return EQUIVALENCE_FAILED;
    return EQUIVALENCE_GIVEN;
}

const char *equivalence_least(const struct record_equivalence *record, struct arena *arena)
{
    if (!record->told)
        return "";
    return arena_printf(arena, "by %u ids at %u positions at least ", record->told,
                        record->positions);
}

const char *equivalence_reason(const struct record_equivalence *record, struct arena *arena)
{
    bool by_ids = equivalence_is_by_ids(record);
    if (record->why)
        return arena_strdup(arena, record->why);
    if (by_ids && !record->greedy_ids)
        return arena_strdup(arena, "its engine gives no logits, and no ids of it were checked");
    if (record->broken)
        return arena_printf(arena,
                            record->told
                                ? "what it tells at %u of %u positions are no probabilities"
                                : "logits at %u of %u positions are not finite numbers",
                            record->broken, record->positions);
    if (record->kl_mean > record->kl_bound)
        return arena_printf(arena,
                            "its mean KL divergence from the float32 reference is %s%.2g nat where "
                            "%s allows %.2g",
                            equivalence_least(record, arena), record->kl_mean, record->precision,
                            record->kl_bound);
    if (record->error_most > record->error_bound)
        return arena_printf(arena,
                            "a logit is off by %s%.2g %% of the reference's range where %s allows "
                            "%.2g %%",
                            record->told ? "at least " : "", record->error_most * 100,
                            record->precision, record->error_bound * 100);
    return arena_printf(arena,
                        "it generated an id, token %u, that the reference puts %.2g %% of its "
                        "range below the best where %s allows %.2g %%%s",
                        record->greedy_worst + 1, record->greedy_margin * 100, record->precision,
                        equivalence_margin_bound(record) * 100,
                        by_ids         ? ""
                        : record->told ? ", though the probabilities that it tells are right"
                                       : ", though its logits are right");
}
