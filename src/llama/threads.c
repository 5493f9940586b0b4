#include "llama/threads.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cores.h"

/* About 50 us: longer than the gaps between two phases or two tokens, far shorter than a time
 * slice that a sleeping neighbour could use. */
enum { SPINS = 1500, CACHE_LINE = 64 };

struct worker {
    struct pool *pool;
    uint32_t index;
    pthread_t thread;
};

struct pool {
    atomic_uint threads; /* who meet at the barrier; fewer when not all could be started */
    uint32_t started;    /* how many of worker[] are running */
    struct cores cores;
    cpu_set_t caller_affinity;
    void (*work)(void *context, uint32_t thread); /* NULL: time to end */
    void *context;
    struct worker *worker; /* [threads - 1] */
    /* The barrier's words are written by all: each on a cache line of its own. */
    _Alignas(CACHE_LINE) atomic_uint arrived;
    _Alignas(CACHE_LINE) atomic_uint generation; /* the word that sleepers wait on */
    _Alignas(CACHE_LINE) atomic_uint sleepers;
};

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* as long as an x86 pause; yield is a no-op */
#endif
}

static void futex(atomic_uint *word, int operation, unsigned value)
{
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void pool_barrier(struct pool *pool)
{
    unsigned generation = atomic_load(&pool->generation);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->threads) {
        atomic_store(&pool->arrived, 0);
        atomic_store(&pool->generation, generation + 1);
        if (atomic_load(&pool->sleepers) > 0)
            futex(&pool->generation, FUTEX_WAKE, INT_MAX);
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != generation)
            return;
        cpu_relax();
    }
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == generation)
        futex(&pool->generation, FUTEX_WAIT, generation);
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    cores_pin(&pool->cores, worker->index);
    for (;;) {
        pool_barrier(pool);
        if (!pool->work)
            return NULL;
        pool->work(pool->context, worker->index);
        pool_barrier(pool);
    }
}

void pool_run(struct pool *pool, void (*work)(void *context, uint32_t thread), void *context)
{
    pool->work = work;
    pool->context = context;
    pool_barrier(pool);
    work(context, 0);
    pool_barrier(pool);
}

enum status pool_open(struct pool **out, uint32_t threads, struct error *err)
{
    struct cores cores;
    *out = NULL;
    cores_read(&cores);
    if (threads == 0)
        threads = cores.count;
    if (threads > CORES_MAX) {
        error_set(err, STATUS_USAGE, "%u threads are too many", threads);
        return error_remedy(err, "Ask for at most %d; this process may use %u cores.", CORES_MAX,
                            cores.count);
    }
    struct pool *pool = aligned_alloc(CACHE_LINE, sizeof *pool);
    if (!pool)
        return error_no_memory(err, sizeof *pool);
    memset(pool, 0, sizeof *pool);
    pool->threads = threads;
    pool->cores = cores;
    pool->worker = calloc(threads, sizeof *pool->worker);
    if (!pool->worker) {
        free(pool);
        return error_no_memory(err, threads * sizeof *pool->worker);
    }
    sched_getaffinity(0, sizeof pool->caller_affinity, &pool->caller_affinity);
    cores_pin(&pool->cores, 0);
    for (uint32_t i = 1; i < threads; i++) {
        struct worker *worker = &pool->worker[i - 1];
        *worker = (struct worker){.pool = pool, .index = i};
        int code = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (code != 0) {
            /* The barrier must be reachable by those that run: they leave, then we do. */
            pool->threads = i;
            pool->started = i - 1;
            pool_close(pool);
            errno = code;
            return error_errno(err, "start thread %u of %u", i + 1, threads);
        }
    }
    pool->started = threads - 1;
    *out = pool;
    return STATUS_OK;
}

void pool_close(struct pool *pool)
{
    if (!pool)
        return;
    pool->work = NULL;
    pool_barrier(pool);
    for (uint32_t i = 0; i < pool->started; i++)
        pthread_join(pool->worker[i].thread, NULL);
    sched_setaffinity(0, sizeof pool->caller_affinity, &pool->caller_affinity);
    free(pool->worker);
    free(pool);
}

uint32_t pool_threads(const struct pool *pool)
{
    return pool->threads;
}

struct share pool_share(const struct pool *pool, uint32_t thread, size_t count, size_t unit)
{
    size_t units = (count + unit - 1) / unit;
    size_t begin = units * thread / pool->threads * unit;
    size_t end = units * (thread + 1) / pool->threads * unit;
    return (struct share){begin < count ? begin : count, end < count ? end : count};
}
