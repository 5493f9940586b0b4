/* Fields of comma-separated values. */
#ifndef PRONY_REPORT_CSV_H
#define PRONY_REPORT_CSV_H

#include <stdio.h>

#include "report/facts.h"

/* A field of text, quoted where RFC 4180 wants it. It is cleaned first (report/text.h), so a record
 * is always one line; what a spreadsheet would run is made text. NULL is empty. */
void csv_text(FILE *stream, struct arena *arena, const char *text);
/* Two fields, each behind its comma, of what no row may lack: ",yes,not equivalent" says whether
 * the comparison was fair, and whether the variant computes the same thing. */
#define CSV_TRUST ",fair_comparison,equivalence"
void csv_trust(FILE *stream, const struct run_facts *facts, const struct summary_variant *variant);

#endif
