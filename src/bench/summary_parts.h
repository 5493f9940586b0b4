/* The parts of a summary, each made from the grid of a run's cells. */
#ifndef PRONY_BENCH_SUMMARY_PARTS_H
#define PRONY_BENCH_SUMMARY_PARTS_H

#include <jansson.h>

#include "bench/cells.h"
#include "bench/summary.h"

/* Fills what precision and compiling change; verdicts of the gate are there. */
enum status impacts_make(struct summary *summary, const struct cells *cells, struct error *err);
/* Fills summary->comparisons: all pairs by the metrics that are compared. */
enum status compare_all(struct summary *summary, const struct cells *cells, struct error *err);
/* Fills summary->points from the plan's. */
enum status points_make(struct summary *summary, const struct record_run *record,
                        const json_t *plan, struct error *err);
/* Fills summary->notes from everything else in it. */
enum status notes_make(struct summary *summary, const struct cells *cells, struct error *err);

#endif
