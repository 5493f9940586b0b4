/* Energy counters of the machine: RAPL of the processors and their memory (Linux powercap), and
 * NVML's of a GPU. What they count is everything that the chips draw, so idle power is measured
 * beside it.
 *
 * https://docs.kernel.org/power/powercap/powercap.html */
#ifndef PRONY_MACHINE_ENERGY_H
#define PRONY_MACHINE_ENERGY_H

#include <stdint.h>

#include "base/error.h"

struct energy;

/* pci: of the GPU that is used, as gpu.h has it; "" for none, and then the processors' counters are
 * taken. sys: "/sys", or a copy for a test. STATUS_UNSUPPORTED says why there is nothing to read,
 * and what mends it. */
enum status energy_open(struct energy **energy, const char *sys, const char *pci,
                        struct error *err);
/* Joules since some moment; differences count, over less than a counter's range (minutes at least).
 * NaN when it can no longer be read. */
double energy_joules(struct energy *energy);

/* A renewal of the counters: they move many times a second (a processor's), or ten times (a GPU's),
 * and say nothing in between. */
struct energy_moment {
    double joules; /* as energy_joules(); NaN when they do not move */
    int64_t stamp_ns;
};

/* Waits for the next renewal: a difference of two moments is as exact as the counters. */
struct energy_moment energy_moment(struct energy *energy);

/* What the counters count while nothing runs; NaN when they do not move. */
struct energy_idle {
    double watts, step_s; /* step: from one renewal to the next */
};

/* Takes that many milliseconds, and up to two renewals. */
struct energy_idle energy_idle(struct energy *energy, uint32_t ms);
/* "RAPL (package-0, dram)", "NVML". */
const char *energy_source(const struct energy *energy);
void energy_close(struct energy *energy); /* NULL is fine */

#endif
