/* The memory nodes of a machine (NUMA): a processor reads the memory of its own node faster than
 * that of another. */
#ifndef PRONY_MACHINE_NODES_H
#define PRONY_MACHINE_NODES_H

#include <stdint.h>

#include "base/cores.h"

struct nodes {
    uint32_t count; /* of the machine; 0: it does not say */
    uint32_t used;  /* those with one of the processors */
};

/* sys: "/sys", or a copy for a test. */
struct nodes nodes_read(const char *sys, const struct cores *cores);

#endif
