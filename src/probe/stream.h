/* How fast a GPU reads its own memory. */
#ifndef PRONY_PROBE_STREAM_H
#define PRONY_PROBE_STREAM_H

#include <stdint.h>

#include "gpu/cuda.h"

struct stream_result {
    double bytes_per_second; /* best of the passes */
    uint64_t bytes;          /* of the buffer, far beyond the L2 cache */
    uint32_t passes;
    const char *kernel; /* the one that was best: "bulk", "plain" */
};

/* Reads a buffer again and again for about budget_ms with each kernel that the card can run, and
 * checks that all of it was read. Needs a current context. */
enum status stream_probe(const struct cuda *cuda, const struct cuda_device *device,
                         uint32_t budget_ms, struct stream_result *result, struct error *err);

#endif
