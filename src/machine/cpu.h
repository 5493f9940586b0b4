/* The processor: what it is and what of it this process may use. */
#ifndef PRONY_MACHINE_CPU_H
#define PRONY_MACHINE_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/nodes.h"

struct cpu {
    char model[128];        /* "" where the system does not say; other texts likewise */
    char architecture[32];  /* "x86_64" */
    char features[256];     /* those that kernels are picked by: "avx2 fma f16c" */
    char governor[32];      /* of frequency scaling */
    char hypervisor[64];    /* "" on bare metal or unknown; else what is known of it */
    uint32_t cores_allowed; /* physical cores in the affinity mask */
    uint32_t cpus_allowed;  /* hardware threads in it */
    struct nodes nodes;     /* of memory; used: by those threads */
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* of one processor; 0 unknown */
};

void cpu_read(struct cpu *cpu);

/* The data cache of that level that the first processor sees; 0 when the system does not say. In
 * a virtual machine sysconf() tells the host's, all of them together. */
uint64_t cpu_cache_bytes(unsigned level);

#endif
