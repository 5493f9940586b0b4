/* The order in which a block runs its variants: a Williams design, in which over one cycle every
 * variant stands equally often in each place and follows each other one equally often, so that
 * drift and carry-over weigh on all alike (Williams, Aust. J. Sci. Res. A2, 1949). */
#ifndef PRONY_BENCH_SCHEDULE_H
#define PRONY_BENCH_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

/* Blocks after which the design is balanced and begins again: n, or 2n when n is odd. */
size_t schedule_cycle(size_t variants);
/* Writes the order of one block: a permutation of 0 ... variants - 1. */
void schedule_order(size_t variants, size_t block, uint32_t *order);

#endif
