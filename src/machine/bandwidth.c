#include "machine/bandwidth.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "base/clock.h"
#include "base/cores.h"
#include "base/pages.h"
#include "machine/cpu.h"

enum {
    STEP_BYTES = 512,      /* what a kernel reads per iteration; shares are multiples of it */
    PREFETCH_BYTES = 4096, /* ahead of the loads: hardware prefetchers stop at each page */
    MIN_BUFFER_BYTES = 512 << 20,
    MAX_BUFFER_BYTES = 2047 << 20,
    MIN_PASSES = 3,
    MAX_PASSES = 1000
};

/* Reads bytes (a multiple of STEP_BYTES); returns something that depends on all of them, so that
 * no load can be left out. */
typedef uint64_t read_function(const unsigned char *data, size_t bytes);

#if !defined(__aarch64__)
static uint64_t read_plain(const unsigned char *data, size_t bytes)
{
    uint64_t mixed[8] = {0};
    for (size_t i = 0; i < bytes; i += sizeof mixed) {
        uint64_t line[8];
        memcpy(line, data + i, sizeof line);
        for (int k = 0; k < 8; k++)
            mixed[k] |= line[k];
    }
    return mixed[0] | mixed[1] | mixed[2] | mixed[3] | mixed[4] | mixed[5] | mixed[6] | mixed[7];
}
#endif

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_avx2(const unsigned char *data, size_t bytes)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i < bytes; i += STEP_BYTES) {
        for (size_t k = 0; k < STEP_BYTES; k += 64) {
            const __m256i *p = (const void *)(data + i + k);
            __builtin_prefetch(data + i + k + PREFETCH_BYTES);
            a = _mm256_or_si256(a, _mm256_load_si256(p));
            b = _mm256_or_si256(b, _mm256_load_si256(p + 1));
        }
    }
    a = _mm256_or_si256(a, b);
    return (uint64_t)_mm256_extract_epi64(a, 0) | (uint64_t)_mm256_extract_epi64(a, 1) |
           (uint64_t)_mm256_extract_epi64(a, 2) | (uint64_t)_mm256_extract_epi64(a, 3);
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const unsigned char *data,
                                                               size_t bytes)
{
    __m512i a = _mm512_setzero_si512(), b = a;
    for (size_t i = 0; i < bytes; i += STEP_BYTES) {
        for (size_t k = 0; k < STEP_BYTES; k += 128) {
            const unsigned char *p = data + i + k;
            __builtin_prefetch(p + PREFETCH_BYTES);
            __builtin_prefetch(p + PREFETCH_BYTES + 64);
            a = _mm512_or_si512(a, _mm512_load_si512(p));
            b = _mm512_or_si512(b, _mm512_load_si512(p + 64));
        }
    }
    return (uint64_t)_mm512_reduce_or_epi64(_mm512_or_si512(a, b));
}
#elif defined(__aarch64__)
static uint64_t read_neon(const unsigned char *data, size_t bytes)
{
    uint64x2_t a = vdupq_n_u64(0), b = a;
    for (size_t i = 0; i < bytes; i += 64) {
        const uint64_t *p = (const void *)(data + i);
        __builtin_prefetch(data + i + PREFETCH_BYTES);
        a = vorrq_u64(a, vorrq_u64(vld1q_u64(p), vld1q_u64(p + 2)));
        b = vorrq_u64(b, vorrq_u64(vld1q_u64(p + 4), vld1q_u64(p + 6)));
    }
    a = vorrq_u64(a, b);
    return vgetq_lane_u64(a, 0) | vgetq_lane_u64(a, 1);
}
#endif

static read_function *pick_kernel(const char **name)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        *name = "avx512";
        return read_avx512;
    }
    if (__builtin_cpu_supports("avx2")) {
        *name = "avx2";
        return read_avx2;
    }
    *name = "c";
    return read_plain;
#elif defined(__aarch64__)
    *name = "neon";
    return read_neon;
#else
    *name = "c";
    return read_plain;
#endif
}

struct probe {
    struct cores cores;
    read_function *read;
    unsigned char *data;
    size_t share_bytes; /* of each reader */
    uint32_t threads;
    struct reader *reader;     /* [threads] */
    pthread_mutex_t gate;      /* held until all readers are started */
    bool cancelled;            /* one could not be: the others leave */
    pthread_barrier_t barrier; /* of all readers */
    int64_t begin_ns, budget_ns, best_ns;
    bool done; /* written between two barriers */
};

struct reader {
    struct probe *probe;
    uint32_t index;
    pthread_t thread;
    int64_t begin_ns, end_ns; /* of the last pass */
    uint64_t mixed;
};

/* Four times the caches, were each thread to have one to itself; at most half the free memory. */
static uint64_t buffer_bytes(uint32_t threads)
{
    uint64_t bytes = 4 * cpu_cache_bytes(3) * threads;
    bytes = bytes < MIN_BUFFER_BYTES ? MIN_BUFFER_BYTES : bytes;
    bytes = bytes > MAX_BUFFER_BYTES ? MAX_BUFFER_BYTES : bytes;
    while (bytes > memory_available_bytes() / 2)
        bytes /= 2;
    return bytes;
}

/* The pass that has just ended, from the first thread's start to the last one's end. */
static void pass_note(struct probe *probe, int pass)
{
    int64_t begin = probe->reader[0].begin_ns, end = probe->reader[0].end_ns;
    for (uint32_t i = 1; i < probe->threads; i++) {
        const struct reader *reader = &probe->reader[i];
        begin = reader->begin_ns < begin ? reader->begin_ns : begin;
        end = reader->end_ns > end ? reader->end_ns : end;
    }
    if (end - begin < probe->best_ns)
        probe->best_ns = end - begin;
    int64_t next_end = clock_now_ns() + (end - begin);
    probe->done = pass + 1 >= MAX_PASSES ||
                  (pass + 1 >= MIN_PASSES && next_end - probe->begin_ns > probe->budget_ns);
}

static void *reader_main(void *argument)
{
    struct reader *reader = argument;
    struct probe *probe = reader->probe;
    unsigned char *share = probe->data + reader->index * probe->share_bytes;
    pthread_mutex_lock(&probe->gate);
    pthread_mutex_unlock(&probe->gate);
    if (probe->cancelled)
        return NULL;
    cores_pin(&probe->cores, reader->index);
    memset(share, 1, probe->share_bytes); /* untouched pages would all be one page of zeros */
    for (int pass = 0; !probe->done; pass++) {
        pthread_barrier_wait(&probe->barrier);
        reader->begin_ns = clock_now_ns();
        reader->mixed |= probe->read(share, probe->share_bytes);
        reader->end_ns = clock_now_ns();
        pthread_barrier_wait(&probe->barrier);
        if (reader->index == 0)
            pass_note(probe, pass);
        pthread_barrier_wait(&probe->barrier);
    }
    return NULL;
}

/* Starts the readers and waits for them. */
static enum status readers_run(struct probe *probe, struct error *err)
{
    uint32_t started = 0;
    int code = 0;
    pthread_mutex_lock(&probe->gate);
    while (started < probe->threads && code == 0) {
        struct reader *reader = &probe->reader[started];
        *reader = (struct reader){.probe = probe, .index = started};
        code = pthread_create(&reader->thread, NULL, reader_main, reader);
        started += code == 0;
    }
    probe->cancelled = code != 0;
    pthread_mutex_unlock(&probe->gate);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(probe->reader[i].thread, NULL);
    if (code == 0)
        return STATUS_OK;
    errno = code;
    return error_errno(err, "start thread %u of %u", started + 1, probe->threads);
}

enum status bandwidth_probe(struct bandwidth *result, uint32_t threads, uint32_t budget_ms,
                            struct error *err)
{
    struct pages pages = {0};
    struct probe probe = {.begin_ns = clock_now_ns(),
                          .budget_ns = (int64_t)budget_ms * 1000000,
                          .best_ns = INT64_MAX,
                          .gate = PTHREAD_MUTEX_INITIALIZER};
    *result = (struct bandwidth){0};
    cores_read(&probe.cores);
    probe.read = pick_kernel(&result->kernel);
    probe.threads = threads ? threads : probe.cores.count;
    if (probe.threads > CORES_MAX)
        return error_set(err, STATUS_USAGE, "%u threads are too many: at most %d", threads,
                         CORES_MAX);
    uint64_t bytes = buffer_bytes(probe.threads);
    probe.share_bytes = bytes / probe.threads / STEP_BYTES * STEP_BYTES;
    if (probe.share_bytes == 0)
        return error_no_memory(err, MIN_BUFFER_BYTES);
    probe.reader = calloc(probe.threads, sizeof *probe.reader);
    if (!probe.reader)
        return error_no_memory(err, probe.threads * sizeof *probe.reader);
    enum status status = pages_map(&pages, bytes, err);
    if (status != STATUS_OK)
        goto cleanup;
    probe.data = pages.data;
    pthread_barrier_init(&probe.barrier, NULL, probe.threads);
    status = readers_run(&probe, err);
    pthread_barrier_destroy(&probe.barrier);
    if (status != STATUS_OK)
        goto cleanup;
    result->threads = probe.threads;
    result->bytes = probe.share_bytes * probe.threads;
    result->bytes_per_second = (double)result->bytes * 1e9 / (double)probe.best_ns;

cleanup:
    pages_free(&pages);
    free(probe.reader);
    return status;
}
