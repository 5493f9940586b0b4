/* The kernels of engines/tensorrt/step.cu, on the CPU. */
#include <stdint.h>
#include <string.h>

#include "libcuda.h"

/* Their parameters. */
struct append {
    uint32_t *caches;
    const uint32_t *rows;
    const int32_t *start;
    uint64_t cache_stride, rows_stride;
    uint32_t context, words, tokens, heads, caches_count;
};
struct advance {
    int32_t *token, *start;
    const int32_t *next;
    int32_t count, *arrived;
};

static void step_append(void *data)
{
    const struct append *p = data;
    for (uint32_t i = 0; i < p->caches_count; i++)
        for (uint32_t h = 0; h < p->heads; h++)
            memcpy(p->caches + i * p->cache_stride +
                       ((uint64_t)h * p->context + (uint32_t)*p->start) * p->words,
                   p->rows + i * p->rows_stride + (uint64_t)h * p->tokens * p->words,
                   (size_t)p->tokens * p->words * sizeof *p->rows);
}

static void step_advance(void *data)
{
    const struct advance *p = data;
    *p->token = *p->arrived = *p->next;
    *p->start += p->count;
}

void step_append_launch(void **p, const unsigned grid[3])
{
    struct append append = {*(uint32_t **)p[0],
                            *(uint32_t **)p[1],
                            *(int32_t **)p[2],
                            *(uint64_t *)p[3],
                            *(uint64_t *)p[4],
                            *(uint32_t *)p[5],
                            *(uint32_t *)p[6],
                            grid[0],
                            grid[1],
                            grid[2]};
    fake_cuda_do(step_append, &append, sizeof append);
}

void step_advance_launch(void **p)
{
    struct advance advance = {*(int32_t **)p[0], *(int32_t **)p[1], *(int32_t **)p[2],
                              *(int32_t *)p[3], *(int32_t **)p[4]};
    fake_cuda_do(step_advance, &advance, sizeof advance);
}
