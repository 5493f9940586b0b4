/* What the two halves of a grid, its rows and its notes, have in common. */
#ifndef PRONY_REPORT_GRID_PARTS_H
#define PRONY_REPORT_GRID_PARTS_H

#include "report/grid.h"

enum { GRID_TITLE_WIDTH = 22 };

/* What a grid is made from. */
struct grid_source {
    const struct summary *summary;
    const size_t *order;
    struct arena *arena;
};

static inline const struct summary_variant *grid_variant(const struct grid_source *source,
                                                         size_t column)
{
    return &source->summary->variants[source->order[column]];
}

/* A variant of which nothing is known, because every process of it failed. */
static inline bool grid_failed(const struct summary_variant *variant)
{
    return variant->failures > 0 && variant->failures >= variant->processes;
}

/* The columns' titles, and a note for each column that is not as it should be. False: no memory. */
bool grid_titles(struct grid *grid, const struct grid_source *source);
/* A note for each reason why a metric of the grid is not available. Likewise. */
bool grid_missing(struct grid *grid, const struct grid_source *source, enum metric metric);

#endif
