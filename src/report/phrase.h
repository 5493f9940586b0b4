/* Parts of the analysis' sentences: a figure with its interval, one variant against another. */
#ifndef PRONY_REPORT_PHRASE_H
#define PRONY_REPORT_PHRASE_H

#include <stdbool.h>

#include "base/arena.h"
#include "bench/summary.h"

/* The words for a metric that variants are compared by. */
struct topic {
    const char *label;    /* "Running" */
    const char *noun;     /* "speed" */
    enum metric compared; /* in the comparisons */
    enum metric shown;    /* a variant's own figure */
    const char *takes;    /* between its title and that figure: "generates" */
    const char *after;    /* behind the figure; may be "" */
    const char *better;   /* "1.90x" "faster", of which a verdict speaks */
    const char *worse;    /* "slower" */
    const char *same;     /* "as fast" */
    const char *measured; /* "1.90x" "the speed", of which none does */
    bool inverse;         /* the measured ratio is of what is better when low: "0.51x the memory" */
};

/* These return NULL when there is no memory. */

/* "81.4 tok/s (79.3–83.5)"; the parentheses only with an interval. */
const char *phrase_figure(const struct estimate *estimate, enum metric metric, struct arena *arena);
/* "1.90x faster than B (1.84–1.96)", "as fast as B (1.00x, 0.99–1.01)", "undecided against B
 * (1.02x, 0.97–1.07)"; without a verdict "1.90x the speed of B (1.50–2.40)". other NULL: what it
 * is against has been said. */
const char *phrase_comparison(const struct topic *topic, const struct comparison *comparison,
                              const char *other, struct arena *arena);

/* The comparison of a with b by a metric, turned round where it was made of b with a; false when
 * there is none or nothing is known. */
bool comparison_find(const struct summary *summary, size_t a, size_t b, enum metric metric,
                     struct comparison *found);

#endif
