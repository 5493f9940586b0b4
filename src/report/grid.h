/* The comparison table before any layout: which rows there are, what each cell says, and the notes
 * under it. The terminal's table and the Markdown one print the same grid. */
#ifndef PRONY_REPORT_GRID_H
#define PRONY_REPORT_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "bench/summary.h"
#include "report/number.h"

/* A number with the half width of its interval (empty: none), or a word in its place. */
struct grid_cell {
    const char *word; /* "float16", "failed", "n/a"; NULL: there is a number */
    struct number value, spread;
    bool best, failed;
};

struct grid_row {
    const char *title; /* with the unit: "Model Load (s)" */
    enum metric_group group;
    struct grid_cell *cells; /* [columns] */
};

/* Why something is missing. */
struct grid_note {
    const char *mark; /* "[1]", beside the column's title; "n/a" */
    const char *text;
    const char *const *log; /* last lines of the worker's output; NULL-terminated, may be empty */
};

struct grid {
    size_t columns;
    const char **titles;   /* [columns], cleaned, with the mark of the column's note */
    struct grid_row *rows; /* by group */
    size_t row_count;
    struct grid_note *notes;
    size_t note_count;
};

/* wide: all metrics, else the classic ones and those that say something. Everything lives in the
 * arena. */
enum status grid_make(struct grid *grid, const struct summary *summary, bool wide,
                      struct arena *arena, struct error *err);

/* A variant's title, or its name where it has none, cleaned. NULL: no memory. */
const char *variant_title(const struct record_variant *variant, struct arena *arena);
/* Order of the columns, indexes of summary variants: the yardstick's first, then as planned.
 * NULL: no memory. */
size_t *column_order(const struct summary *summary, struct arena *arena);

#endif
