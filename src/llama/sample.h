/* The next token, drawn from logits: temperature, then top-k, min-p and top-p. */
#ifndef PRONY_LLAMA_SAMPLE_H
#define PRONY_LLAMA_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "llama/draw.h"

struct llama_candidate {
    float p;
    int32_t id;
};

struct llama_sampler {
    double temperature, top_p, min_p; /* temperature > 0; top_p 1 and min_p 0 leave nothing out */
    uint32_t top_k;                   /* 0 leaves nothing out */
    uint64_t random;                  /* the seed, then the generator's state */
};

/* Whether a draw is all that is asked for: temperature alone, or with no sampler the largest logit.
 */
bool llama_sampler_draws(const struct llama_sampler *sampler, struct draw *draw);

/* An id below count. candidates is scratch with room for count. */
int32_t llama_sample(struct llama_sampler *sampler, const float *logits, uint32_t count,
                     struct llama_candidate *candidates);

#endif
