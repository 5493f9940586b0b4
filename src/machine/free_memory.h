/* Memory that a new program can have: of the machine, within the limits of the control groups that
 * this process is in, and of a card. Pages of files that can be given up count as free. */
#ifndef PRONY_MACHINE_FREE_MEMORY_H
#define PRONY_MACHINE_FREE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct free_memory {
    bool known;
    uint64_t bytes;
    const char *source; /* a literal: what says so, "MemAvailable" */
};

struct free_memory free_memory_host(void);
/* The same below other folders than / (for tests): "" and absolute paths. */
struct free_memory free_memory_host_under(const char *root);
/* A card by its address (gpu.h), as NVML has it. */
struct free_memory free_memory_card(const char *pci);
/* The least that the first cards of the machine have free, each; not known when there are fewer. */
struct free_memory free_memory_cards(uint32_t cards);

/* Cards that NVML shows. */
uint32_t free_memory_card_count(void);

#endif
