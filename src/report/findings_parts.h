/* What the files that write findings share. */
#ifndef PRONY_REPORT_FINDINGS_PARTS_H
#define PRONY_REPORT_FINDINGS_PARTS_H

#include "report/findings.h"

/* Keeps what was made, or remembers that there was no memory for it. */
const char *findings_kept(struct findings *findings, const char *text);
const char *findings_printf(struct findings *findings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends to a text, with a separator unless it is still empty. */
void findings_append(struct findings *findings, const char **text, const char *separator,
                     const char *more);
/* A variant's figure with its unit and interval. */
const char *findings_figure(struct findings *findings, size_t variant, enum metric metric);

#endif
