/* The next token, drawn from logits: temperature, then top-k, min-p and top-p. */
#ifndef PRONY_NATIVE_SAMPLE_H
#define PRONY_NATIVE_SAMPLE_H

#include <stdint.h>

struct candidate {
    float p;
    int32_t id;
};

struct sampler {
    double temperature, top_p, min_p; /* temperature > 0; top_p 1 and min_p 0 leave nothing out */
    uint32_t top_k;                   /* 0 leaves nothing out */
    uint64_t random;                  /* the seed, then the generator's state */
};

/* candidates is scratch with room for count. */
int32_t sample(struct sampler *sampler, const float *logits, uint32_t count,
               struct candidate *candidates);

#endif
