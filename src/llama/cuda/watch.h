/* A thread that ends the process when what several cards do together takes too long: they wait for
 * each other in kernels and in calls that do not return. */
#ifndef PRONY_LLAMA_CUDA_WATCH_H
#define PRONY_LLAMA_CUDA_WATCH_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"

struct watch {
    pthread_t thread;
    sem_t end;
    atomic_llong since_ns; /* of the last sign of life; 0: nothing is waited for */
    int64_t limit_ns;
    void (*expired)(void *context, int64_t seconds); /* does not return */
    void *context;
};

/* The limit is PRONY_SHARD_TIMEOUT seconds, or a minute. */
enum status watch_open(struct watch *watch, void (*expired)(void *context, int64_t seconds),
                       void *context, struct error *err);
/* After a watch_open that succeeded. */
void watch_close(struct watch *watch);

/* Something begins, or has come further; it has come to its end. */
void watch_alive(struct watch *watch);
void watch_rest(struct watch *watch);

#endif
