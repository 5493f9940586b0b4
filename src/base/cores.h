/* The processors that this process may run on, one of each physical core first. */
#ifndef PRONY_BASE_CORES_H
#define PRONY_BASE_CORES_H

#include <stdint.h>

enum { CORES_MAX = 1024 };

struct cores {
    uint32_t count;     /* physical cores: the first so many entries are on distinct ones */
    uint32_t cpu_count; /* all entries: their hardware siblings follow */
    uint16_t cpu[CORES_MAX];
};

/* Reads the affinity mask and the topology. There is always at least one entry. */
void cores_read(struct cores *cores);

/* Runs the calling thread on the index-th entry alone (modulo cpu_count). Returns 0, or -1 when
 * the system refuses. */
int cores_pin(const struct cores *cores, uint32_t index);

#endif
