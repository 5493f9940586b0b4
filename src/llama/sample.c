#include "llama/sample.h"

#include <math.h>
#include <stdlib.h>

/* Uniform in [0, 1). */
static double uniform(uint64_t *state)
{
    return (double)(random_number(*state += RANDOM_STEP) >> 11) / 9007199254740992.0;
}

bool llama_sampler_draws(const struct llama_sampler *sampler, struct draw *draw)
{
    *draw = (struct draw){0};
    if (sampler)
        *draw = (struct draw){sampler->random, (float)sampler->temperature};
    return !sampler || (sampler->top_k == 0 && sampler->top_p >= 1 && sampler->min_p <= 0);
}

/* The id of the largest logit_drawn, the lowest one where several are or none is. Most need no
 * logarithms: their bits say that they cannot be. */
static int32_t drawn(const struct draw *draw, const float *logits, uint32_t count)
{
    const float unit = draw->temperature * 0.6931472f;
    float most = -INFINITY;
    uint32_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = draw_bits(*draw, i);
        if (logits[i] + unit * (float)(2 + __builtin_clz(bits | 1)) <= most)
            continue;
        float logit = logits[i] + draw->temperature * gumbel(bits);
        if (logit > most) {
            most = logit;
            best = i;
        }
    }
    return (int32_t)best;
}

/* The likeliest first; the lower id on ties, so that a seed means one text. */
static int candidate_order(const void *left, const void *right)
{
    const struct llama_candidate *a = left, *b = right;
    if (a->p != b->p)
        return a->p < b->p ? 1 : -1;
    return a->id < b->id ? -1 : 1;
}

/* How many of the sorted candidates top-k and top-p leave. */
static uint32_t cut(const struct llama_sampler *sampler, const struct llama_candidate *candidates,
                    uint32_t count)
{
    double total = 0, sum = 0;
    uint32_t kept = 0;
    if (sampler->top_k > 0 && sampler->top_k < count)
        count = sampler->top_k;
    for (uint32_t i = 0; i < count; i++)
        total += (double)candidates[i].p;
    while (kept < count && (kept == 0 || sum < sampler->top_p * total))
        sum += (double)candidates[kept++].p;
    return kept;
}

int32_t llama_sample(struct llama_sampler *sampler, const float *logits, uint32_t count,
                     struct llama_candidate *candidates)
{
    float best = logits[0];
    double total = 0;
    uint32_t kept = 0;
    struct draw draw;
    if (llama_sampler_draws(sampler, &draw)) {
        sampler->random = draw_after(draw, 1).random;
        return drawn(&draw, logits, count);
    }
    for (uint32_t i = 1; i < count; i++)
        best = logits[i] > best ? logits[i] : best;
    for (uint32_t i = 0; i < count; i++) {
        float p = expf((logits[i] - best) / (float)sampler->temperature); /* best: 1 */
        if ((double)p >= sampler->min_p)
            candidates[kept++] = (struct llama_candidate){p, (int32_t)i};
    }
    if (kept == 0) /* min_p above 1, or logits that are not numbers */
        return 0;
    if (sampler->top_k > 0 || sampler->top_p < 1) {
        qsort(candidates, kept, sizeof *candidates, candidate_order);
        kept = cut(sampler, candidates, kept);
    }
    for (uint32_t i = 0; i < kept; i++)
        total += (double)candidates[i].p;
    double place = uniform(&sampler->random) * total;
    for (uint32_t i = 0; i < kept; i++) {
        place -= (double)candidates[i].p;
        if (place < 0)
            return candidates[i].id;
    }
    return candidates[kept - 1].id;
}
