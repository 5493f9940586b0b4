/* Which variants a run compares, and which of them can run on this machine. */
#ifndef PRONY_BENCH_VARIANTS_H
#define PRONY_BENCH_VARIANTS_H

#include "bench/plan.h"

/* Fills plan->variants from the request; the catalogue and the model are open. */
enum status variants_choose(struct plan *plan, const struct plan_request *request,
                            struct error *err);

#endif
