/* What the parts that write a summary's notes share. */
#ifndef PRONY_BENCH_NOTES_PARTS_H
#define PRONY_BENCH_NOTES_PARTS_H

#include "bench/summary_parts.h"

struct notes {
    struct summary *summary;
    const char **lines;
    size_t count;
};

/* Adds a line that lives as long as the summary. One that memory is lacking for (NULL) is lost: it
 * may not cost the figures. */
void note_add(struct notes *notes, const char *line);

/* What the gate did not show. */
void note_equivalence(struct notes *notes, struct arena *arena);

#endif
