/* Large anonymous memory on huge pages, and pages made present before somebody times them.
 *
 * A 4 KiB page costs a TLB miss every 4 KiB of a weight that is read once per token: on huge
 * pages, where the system gives them, that cost is gone. */
#ifndef PRONY_BASE_PAGES_H
#define PRONY_BASE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Zeroed memory, aligned to 2 MiB. Zero-initialise; a zeroed one may be freed. */
struct pages {
    void *data;
    size_t bytes;
};

/* Address space for bytes (more than 0); nothing is present before it is touched. */
enum status pages_map(struct pages *pages, size_t bytes, struct error *err);
void pages_free(struct pages *pages);

/* Makes a range of mapped memory present, so that reading or writing it later faults no more.
 * The range is widened to whole pages. Pages of a file are read from it. */
void pages_populate(const void *data, size_t bytes, int for_writing);

/* Bytes that programs can still take without swapping (MemAvailable); UINT64_MAX if unknown. */
uint64_t memory_available_bytes(void);

#endif
