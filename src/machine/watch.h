/* What else the machine did while something was measured: work of others, time that was taken
 * away, swapping, clocks. Counters are read at both ends; a thread that sleeps looks at the clocks
 * in between, where the machine shows them. */
#ifndef PRONY_MACHINE_WATCH_H
#define PRONY_MACHINE_WATCH_H

#include <stddef.h>

#include "base/error.h"

/* Between start and end, over the processors that this process may use; NaN where the machine does
 * not say. */
struct watch_report {
    double seconds;
    double foreign_cores;   /* their busy time that was not ours or our children's, per second */
    double foreign_seconds; /* the same in all */
    double steal_share;     /* of their time, taken by the hypervisor for other machines */
    double throttled_share; /* of the time, in which our control group was held back */
    double swapped_bytes;   /* in and out, of the whole machine */
    double thermal_events;  /* times that a processor slowed down for its heat */
    double clock_hz;        /* mean over the samples of the fastest processor's clock */
};

struct watch;

/* Where the kernel's files are: "/proc" and "/sys", or copies for a test. Borrowed. */
struct watch_roots {
    const char *proc, *sys;
};

/* roots NULL: the machine's own. */
enum status watch_start(struct watch **watch, const struct watch_roots *roots, struct error *err);
/* Ends it and frees it. Children count as ours once they are reaped: call it after that. */
void watch_end(struct watch *watch, struct watch_report *report);

#endif
