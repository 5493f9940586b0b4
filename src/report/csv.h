/* Fields of comma-separated values. */
#ifndef PRONY_REPORT_CSV_H
#define PRONY_REPORT_CSV_H

#include <stdio.h>

/* A field of text, quoted where RFC 4180 wants it, and harmless to a spreadsheet. NULL is empty. */
void csv_text(FILE *stream, const char *text);

#endif
