/* A pool of threads, each pinned to a core, that work on one thing together.
 *
 * The caller of pool_run is thread 0. Work is split into fixed shares, so that a result does not
 * depend on timing. Threads that wait spin for some microseconds and then sleep. */
#ifndef PRONY_LLAMA_THREADS_H
#define PRONY_LLAMA_THREADS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pool;

/* threads 0: one for each core that this process may run on. Pins the calling thread, too, until
 * pool_close. */
enum status pool_open(struct pool **pool, uint32_t threads, struct error *err);
void pool_close(struct pool *pool);
uint32_t pool_threads(const struct pool *pool);

/* Runs work(context, thread) on every thread; returns when all have returned. */
void pool_run(struct pool *pool, void (*work)(void *context, uint32_t thread), void *context);

/* Inside work: waits until every thread is here. What was written before is seen after. */
void pool_barrier(struct pool *pool);

/* A thread's share of count things: [begin, end), a multiple of unit but for the last. */
struct share {
    size_t begin, end;
};
struct share pool_share(const struct pool *pool, uint32_t thread, size_t count, size_t unit);

#endif
