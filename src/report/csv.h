/* Fields of comma-separated values. */
#ifndef PRONY_REPORT_CSV_H
#define PRONY_REPORT_CSV_H

#include <stdio.h>

#include "base/arena.h"

/* A field of text, quoted where RFC 4180 wants it. It is cleaned first (report/text.h), so a record
 * is always one line; what a spreadsheet would run is made text. NULL is empty. */
void csv_text(FILE *stream, struct arena *arena, const char *text);

#endif
