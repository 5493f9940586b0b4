/* The memory that a variant needs for a model, computed before anything is loaded: weights, KV
 * cache and working space on each device (docs/memory.md has the formulas). */
#ifndef PRONY_FIT_NEED_H
#define PRONY_FIT_NEED_H

#include <stdint.h>

#include "engine/manifest_memory.h"
#include "model/config.h"

struct need_request {
    const struct model_config *config;
    const struct engine_memory *memory; /* known */
    uint64_t stored_bytes;              /* of the model's weights, for ENGINE_HELD_STORED */
    const char *quantize; /* "int8", "nf4", "float16", "q8_0"; NULL: as the variant has them */
    uint32_t shard;       /* devices, at least 1 */
    uint32_t context, threads;
};

/* Bytes on each device. */
struct need {
    uint64_t weights; /* all copies of them */
    uint64_t cache, work, base;
};

struct need need_of(const struct need_request *request);
uint64_t need_total(const struct need *need);

#endif
