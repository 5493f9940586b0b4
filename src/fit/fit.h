/* Whether a variant can hold a model in what is free, before it is started; and if not, what the
 * least changes are that would let it. */
#ifndef PRONY_FIT_FIT_H
#define PRONY_FIT_FIT_H

#include "engine/form.h"
#include "engine/manifest.h"
#include "fit/need.h"
#include "machine/free_memory.h"
#include "model/model.h"

struct fit_request {
    const struct engine *engine;
    const struct engine_variant *variant;
    const struct model *model;
    struct engine_form form;
    uint32_t context;       /* positions of KV cache */
    uint32_t least_context; /* that would do */
    uint32_t threads;       /* 0: one for each core */
    const char *device;     /* "cpu", "cuda", "cuda:N" */
    const char *pci;        /* of the card; "" for the CPU */
};

/* STATUS_NO_MEMORY tells what is needed, what is free, and the smallest --quantize, --shard and
 * --context with which it would fit. What cannot be known is not refused: an engine whose manifest
 * does not say what it holds, a card that NVML does not show. */
enum status fit_check(const struct fit_request *request, struct error *err);

/* What all processes will hold of the machine's memory; 0: not known, or a card holds it. */
uint64_t fit_expected_bytes(const struct fit_request *request);

/* fit_check with what is free given, and for that many cards with as much each (for tests). */
enum status fit_check_within(const struct fit_request *request, const struct free_memory *free,
                             uint32_t cards, struct error *err);

#endif
