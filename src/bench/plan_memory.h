/* Which variants of a plan cannot hold the model in the memory that is free. */
#ifndef PRONY_BENCH_PLAN_MEMORY_H
#define PRONY_BENCH_PLAN_MEMORY_H

#include "bench/plan.h"

/* Makes them unavailable; the others run. STATUS_NO_MEMORY when none is left. A run that goes on
 * leaves out what was left out before: the memory that is free now is another. */
enum status plan_memory_check(struct plan *plan, const struct plan_request *request,
                              struct error *err);

#endif
