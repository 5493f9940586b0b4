/* The read-bandwidth probe: what share of the memory's speed an engine reaches is measured
 * against this, in the same block of the run. */
#ifndef PRONY_MACHINE_BANDWIDTH_H
#define PRONY_MACHINE_BANDWIDTH_H

#include <stdint.h>

#include "base/error.h"

struct bandwidth {
    double bytes_per_second; /* best of the passes */
    uint32_t threads;
    uint64_t bytes;     /* size of the buffer that was read, far beyond the caches */
    const char *kernel; /* "avx512", "avx2", "c" */
};

/* Reads a buffer of huge pages (where the system gives them) with that many threads pinned to
 * distinct cores, several passes within about budget_ms. threads 0: all that this process may
 * use. */
enum status bandwidth_probe(struct bandwidth *result, uint32_t threads, uint32_t budget_ms,
                            struct error *err);

#endif
