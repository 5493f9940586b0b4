#include "llama/cuda/watch.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "llama/ranks.h"

enum { LOOK_NS = 250000000, SECOND_NS = 1000000000 };

static void *look(void *argument)
{
    struct watch *watch = argument;
    for (;;) {
        int64_t next_ns = clock_now_ns() + LOOK_NS;
        struct timespec next = {.tv_sec = next_ns / SECOND_NS, .tv_nsec = next_ns % SECOND_NS};
        if (sem_clockwait(&watch->end, CLOCK_MONOTONIC, &next) == 0)
            return NULL;
        int64_t since_ns = atomic_load(&watch->since_ns);
        if (since_ns && clock_now_ns() - since_ns > watch->limit_ns)
            watch->expired(watch->context, watch->limit_ns / SECOND_NS);
    }
}

enum status watch_open(struct watch *watch, void (*expired)(void *context, int64_t seconds),
                       void *context, struct error *err)
{
    watch->limit_ns = ranks_limit_ns();
    watch->expired = expired;
    watch->context = context;
    atomic_init(&watch->since_ns, 0);
    sem_init(&watch->end, 0, 0);
    errno = pthread_create(&watch->thread, NULL, look, watch);
    return errno ? error_errno(err, "start a thread that watches the cards") : STATUS_OK;
}

void watch_close(struct watch *watch)
{
    sem_post(&watch->end);
    pthread_join(watch->thread, NULL);
    sem_destroy(&watch->end);
}

void watch_alive(struct watch *watch)
{
    atomic_store(&watch->since_ns, clock_now_ns());
}

void watch_rest(struct watch *watch)
{
    atomic_store(&watch->since_ns, 0);
}
