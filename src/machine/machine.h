/* The machine as a part of a run's manifest. */
#ifndef PRONY_MACHINE_MACHINE_H
#define PRONY_MACHINE_MACHINE_H

#include <jansson.h>

/* {"cpu": {...}, "memory": {...}, "system": {...}, "limits": {...}}; the caller's reference. NULL
 * when there is no memory. */
json_t *machine_describe(void);
/* Of the last minute; 0 when unknown. */
double machine_load_average(void);

#endif
