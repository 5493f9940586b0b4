/* What is recorded of the machine while a process runs, and which of it counts as a disturbance. */
#ifndef PRONY_BENCH_READINGS_H
#define PRONY_BENCH_READINGS_H

#include "base/arena.h"
#include "machine/gpu_watch.h"
#include "machine/watch.h"
#include "store/record.h"

enum reading {
    READING_FOREIGN_CORES,
    READING_FOREIGN_SECONDS,
    READING_STEAL_SHARE,
    READING_THROTTLED_SHARE,
    READING_SWAPPED_BYTES,
    READING_THERMAL_EVENTS,
    READING_CLOCK_HZ,
    READING_ENERGY_J,          /* of the steps that count, as the counters have it */
    READING_ENERGY_SECONDS,    /* the time they took */
    READING_ENERGY_STEP,       /* seconds from one renewal of the counters to the next */
    READING_IDLE_W,            /* what the same counters said before, with nothing running */
    READING_PAGES_RESIDENT,    /* share of the model in the page cache as the process started */
    READING_GPU_FOREIGN,       /* other processes on the card; and, while tokens were timed: */
    READING_GPU_THROTTLE,      /* enum nvml_throttle */
    READING_GPU_THERMAL_SHARE, /* of the time, held back for heat, */
    READING_GPU_POWER_SHARE,   /* for the power limit */
    READING_GPU_CLOCK_HZ,
    READING_EXCHANGED_BYTES, /* by the parts of a split model, for each token */
    READING_EXCHANGED_SECONDS,
    READING_COUNT
};

extern const char *const reading_names[READING_COUNT];

/* Adds what is known (a number) to the process's readings, which live in the arena. */
void reading_add(struct record_process *process, enum reading reading, double value,
                 struct arena *arena);
void readings_add_watch(struct record_process *process, const struct watch_report *report,
                        struct arena *arena);
void readings_add_gpu(struct record_process *process, const struct gpu_watch_report *report,
                      struct arena *arena);
/* NaN where the machine did not show it. */
double reading_of(const struct record_process *process, enum reading reading);

/* The highest clocks that a variant's processes had in a run; 0: not known by now. */
struct clocks {
    double cpu_hz, gpu_hz;
};

void clocks_note(struct clocks *fastest, const struct record_process *process);

/* What disturbed a process, as words that follow "disturbed: " ("other programs used 0.98 cores,
 * the hypervisor took 23 % of the time"); NULL when nothing did. fastest: of the same variant's
 * earlier processes. */
const char *disturbance_of(const struct record_process *process, const struct clocks *fastest,
                           struct arena *arena);

#endif
