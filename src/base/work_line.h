/* The line on a terminal that says how far a long piece of work is, in bytes. */
#ifndef PRONY_BASE_WORK_LINE_H
#define PRONY_BASE_WORK_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct work_line {
    const char *doing; /* "Writing" */
    int64_t start_ns, shown_ns;
    uint64_t resumed_bytes; /* there before the start: no part of the rate */
    bool terminal, shown;
};

/* Where standard error is no terminal nothing is shown. */
void work_line_start(struct work_line *line, const char *doing);
/* At most ten times a second. */
void work_line_show(struct work_line *line, uint64_t done_bytes, uint64_t total_bytes);
/* Takes the line away, until there is news. */
void work_line_clear(const struct work_line *line);

#endif
