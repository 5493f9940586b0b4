/* What may have slowed a GPU down, or used it besides, while something was measured on it. The
 * driver is asked before a worker starts, right before and right after what is timed, and when the
 * worker has ended: never in between. Who used the card in between is in samples that the driver
 * takes by itself, from the second second on: an earlier one may be of what was before. */
#ifndef PRONY_MACHINE_GPU_WATCH_H
#define PRONY_MACHINE_GPU_WATCH_H

#include <sys/types.h>

#include "base/error.h"

/* NaN where the driver does not say. */
struct gpu_watch_report {
    double foreign;  /* processes that were on the card and were none of ours */
    double throttle; /* enum nvml_throttle: bits that were set before or after what is timed */
    double thermal_share, power_share; /* of the timed part, held back for heat, for the power */
    double clock_hz; /* of the multiprocessors: the lower one of before and after */
};

struct gpu_watch;

/* Before the worker is there: who is on the card is another's. pci as in gpu.h. */
enum status gpu_watch_open(struct gpu_watch **watch, const char *pci, struct error *err);
/* Around what is timed. */
void gpu_watch_begin(struct gpu_watch *watch, pid_t worker);
void gpu_watch_end(struct gpu_watch *watch, pid_t worker);
/* When the worker has ended: a last look at the card, and the watch is freed. NULL: nothing is
 * known. */
void gpu_watch_close(struct gpu_watch *watch, struct gpu_watch_report *report);

#endif
