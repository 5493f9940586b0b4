/* What decoding is held against: the bandwidth of the memory that has a variant's weights, as
 * Prony's probe reads it before the first process of a block. */
#ifndef PRONY_BENCH_LIMITS_H
#define PRONY_BENCH_LIMITS_H

#include "bench/plan.h"

/* Bytes per second; 0 where the probe could not read. */
struct limits {
    double device; /* of the run's device */
    double *cards; /* [card_count]: of each card that a model of the plan is split over */
    uint32_t card_count;
};

/* Room for the plan's cards, in the arena; nothing is read yet. */
enum status limits_init(struct limits *limits, const struct plan *plan, struct arena *arena,
                        struct error *err);
/* Reads the device, and every card by itself; "cuda" is the first one, which is read once. Takes
 * about a second for each. */
void limits_read(struct limits *limits, const struct plan *plan);
/* What a variant is held against. Cards that a model is split over read equal parts of it, so that
 * the slowest of them bounds all: its rate by their number. */
double limits_of(const struct limits *limits, const struct plan *plan, size_t variant);

#endif
