/* The processes that hold one model together, each its part (tensor parallel, as in Shoeybi et al.
 * 2019), and how they meet.
 *
 * Rank 0 leads: it has the requests, and orders what the others compute. Every rank holds as many
 * heads of attention, inner rows of the feed-forward layers and words of the vocabulary; the
 * residual stream is the same on all. */
#ifndef PRONY_LLAMA_RANKS_H
#define PRONY_LLAMA_RANKS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"

/* A way to exchange. A rank that does not come to an exchange ends the process with a word on
 * stderr that names it: nobody can go on without it, so these have no errors to return. */
struct ranks {
    uint32_t rank, count;
    uint64_t bytes; /* of the values that this rank has handed over, or was handed */
    int64_t ns;     /* that it took, waiting for the slowest included */

    /* Every element becomes the sum of all ranks'; to the bit the same on all of them. */
    void (*sum)(struct ranks *ranks, float *data, size_t count);
    void (*send)(struct ranks *ranks, uint32_t to, const void *data, size_t bytes);
    /* A rank waits for rank 0 as long as it takes. */
    void (*receive)(struct ranks *ranks, uint32_t from, void *data, size_t bytes);
};

/* How long one may wait for the others at an exchange: PRONY_SHARD_TIMEOUT seconds, or a minute. */
static inline int64_t ranks_limit_ns(void)
{
    const char *text = getenv("PRONY_SHARD_TIMEOUT");
    long seconds = text ? strtol(text, NULL, 10) : 0;
    return (seconds > 0 ? seconds : 60) * INT64_C(1000000000);
}

/* The part of count things that a rank holds; count is a multiple of the ranks. */
struct part {
    size_t begin, end;
};

static inline struct part ranks_part(const struct ranks *ranks, size_t count)
{
    size_t each = ranks ? count / ranks->count : count;
    size_t rank = ranks ? ranks->rank : 0;
    return (struct part){rank * each, (rank + 1) * each};
}

/* The same with what it took entered. */
static inline void ranks_sum(struct ranks *ranks, float *data, size_t count)
{
    int64_t start_ns = clock_now_ns();
    ranks->sum(ranks, data, count);
    ranks->bytes += count * sizeof *data;
    ranks->ns += clock_now_ns() - start_ns;
}

static inline void ranks_send(struct ranks *ranks, uint32_t to, const void *data, size_t bytes)
{
    int64_t start_ns = clock_now_ns();
    ranks->send(ranks, to, data, bytes);
    ranks->bytes += bytes;
    ranks->ns += clock_now_ns() - start_ns;
}

static inline void ranks_receive(struct ranks *ranks, uint32_t from, void *data, size_t bytes)
{
    int64_t start_ns = clock_now_ns();
    ranks->receive(ranks, from, data, bytes);
    ranks->bytes += bytes;
    ranks->ns += clock_now_ns() - start_ns;
}

#endif
