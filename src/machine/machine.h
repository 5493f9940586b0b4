/* The machine as a part of a run's manifest. */
#ifndef PRONY_MACHINE_MACHINE_H
#define PRONY_MACHINE_MACHINE_H

#include <jansson.h>

/* {"cpu": {...}, "memory": {...}, "system": {...}, "limits": {...}, "gpus": [...]}; the caller's
 * reference. NULL when there is no memory. */
json_t *machine_describe(void);
/* The GPUs that NVML shows: [{"name": ..., "total_bytes": ..., "driver": ...}]. Figures that a card
 * does not tell are texts, "not available: why". Without NVML it is empty. */
json_t *machine_describe_gpus(void);
/* Of the last minute; 0 when unknown. */
double machine_load_average(void);

#endif
