/* What the two halves of the gate, streams and generated ids, have in common. */
#ifndef PRONY_BENCH_GATING_PARTS_H
#define PRONY_BENCH_GATING_PARTS_H

#include "bench/equivalence.h"
#include "bench/gating.h"
#include "engine/worker.h"

/* A worker with a model loaded. Stop it after a failure as well. */
struct seat {
    struct worker *worker;
    struct worker_loaded loaded;
};

enum status seat_take(struct seat *seat, const struct gating *gating,
                      const struct plan_variant *variant, const char *device, uint32_t context,
                      struct error *err);
/* A variant of the native engine, on the CPU; quantize may be NULL. */
enum status seat_native(struct seat *seat, const struct gating *gating, const char *variant,
                        const char *quantize, uint32_t context, struct error *err);

/* Loads the run; its records are an array that can be filled further. */
enum status gating_records(const struct gating *gating, struct record_run *run, struct arena *arena,
                           struct error *err);
/* A line about a variant's verdict. */
void gating_tell(const struct gating *gating, const char *name,
                 const struct record_equivalence *record);

#endif
