/* The manifest of a run: machine, versions, model, command; what a stranger needs to judge it. */
#ifndef PRONY_BENCH_RUN_MANIFEST_H
#define PRONY_BENCH_RUN_MANIFEST_H

#include <jansson.h>

#include "base/error.h"
#include "bench/plan.h"

/* The caller's reference; NULL when there is no memory. */
json_t *run_manifest(const struct plan *plan);
/* STATUS_USAGE names what differs between the machine or the program of a stored run and now. */
enum status run_manifest_same(const json_t *stored, const json_t *now, struct error *err);

#endif
