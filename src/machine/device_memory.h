/* What a worker and its descendants hold of a GPU's memory, measured from outside it by NVML: the
 * CUDA context, the kernels and every library's workspace included.
 *
 * NVML lists the memory of each process. In a container it may list other process numbers, or none:
 * then the difference of the card's memory in use stands in, which other programs' changes get
 * into, and the method says so. */
#ifndef PRONY_MACHINE_DEVICE_MEMORY_H
#define PRONY_MACHINE_DEVICE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct device_memory;

enum device_memory_moment { DEVICE_MEMORY_BEFORE, DEVICE_MEMORY_LOADED, DEVICE_MEMORY_MOMENTS };

/* Bytes; -1 unknown. */
struct device_memory_result {
    int64_t before, loaded, peak;
    const char *method; /* for people; a literal */
};

/* Before the worker is started: takes the card's memory in use as the baseline. pci as in gpu.h. */
enum status device_memory_open(struct device_memory **memory, const char *pci, struct error *err);
/* Looks for the peak every few milliseconds, in a thread, until it is paused. No process may be
 * started meanwhile. */
enum status device_memory_watch(struct device_memory *memory, pid_t worker, struct error *err);
/* While tokens are timed: the driver is asked nothing. Safe to repeat. */
void device_memory_pause(struct device_memory *memory);
/* A reading now; it counts for the peak as well. */
void device_memory_note(struct device_memory *memory, enum device_memory_moment moment);
/* Ends the watch with a last reading. */
void device_memory_end(struct device_memory *memory, struct device_memory_result *result);
void device_memory_close(struct device_memory *memory); /* NULL is fine */

#endif
