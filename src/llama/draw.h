/* Drawing an id by its softmax probability: the largest of all logits, each with Gumbel noise of
 * its own (Gumbel, Statistical Theory of Extreme Values, 1954). The noise depends on the seed, on
 * the number of the draw and on the id alone, so whoever has a logit can add it: one thread of the
 * CPU, or all of a card's. */
#ifndef PRONY_LLAMA_DRAW_H
#define PRONY_LLAMA_DRAW_H

#include <math.h>
#include <stdint.h>

#include "llama/both.h"

struct draw {
    uint64_t random;   /* the generator's state: the seed, before the first draw */
    float temperature; /* 0 draws nothing: the largest logit it is */
};

/* What splitmix64 adds to its state for each number, and how it makes one of a state (Steele and
 * others, Fast Splittable Pseudorandom Number Generators, 2014). */
#define RANDOM_STEP 0x9e3779b97f4a7c15u
BOTH uint64_t random_number(uint64_t state)
{
    state = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;
    state = (state ^ state >> 27) * 0x94d049bb133111ebu;
    return state ^ state >> 31;
}

/* After so many draws. */
BOTH struct draw draw_after(struct draw draw, uint32_t draws)
{
    draw.random += draws * RANDOM_STEP;
    return draw;
}

/* An id's 32 random bits in the next draw, whose number seeds those of all ids. */
BOTH uint32_t draw_bits(struct draw draw, uint32_t id)
{
    const uint64_t seed = random_number(draw.random + RANDOM_STEP);
    return (uint32_t)(random_number(seed + (id + (uint64_t)1) * RANDOM_STEP) >> 32);
}

/* Gumbel's distribution, from uniform bits. Never more than (2 + leading zeros) * log(2). */
BOTH float gumbel(uint32_t bits)
{
    const float uniform = ((float)bits + 0.5f) / 4294967296.0f; /* (0, 1] */
    return -logf(-log1pf(-uniform));
}

/* An id's logit as the next draw sees it. */
BOTH float logit_drawn(struct draw draw, float logit, uint32_t id)
{
    return logit + draw.temperature * gumbel(draw_bits(draw, id));
}

#endif
