/* Engines that keep what they have quantised make that file before anything is gated or timed, so
 * that no process of the run pays for it. */
#ifndef PRONY_BENCH_QUANTISING_H
#define PRONY_BENCH_QUANTISING_H

#include "base/error.h"
#include "bench/gating.h"

/* Where the file is there already nothing is done. An engine that fails shows in its own row:
 * errors are STATUS_INTERRUPTED alone. */
enum status quantising_prepare(const struct gating *gating, struct error *err);

#endif
