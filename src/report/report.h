/* A report writes one summary in one form. Forms are data: --output FILE picks by extension. */
#ifndef PRONY_REPORT_REPORT_H
#define PRONY_REPORT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "bench/summary.h"

struct report_options {
    unsigned width; /* columns of the terminal; 0: unknown, 80 then */
    bool colour;
    bool wide; /* all metrics with their intervals, not the classic ones alone */
};

struct report_form {
    const char *name;      /* "table", "json", "csv", "samples.csv", "md", "html" */
    const char *extension; /* ".json"; NULL: not a file form */
    const char *about;
    enum status (*write)(const struct summary *summary, const struct report_options *options,
                         FILE *stream, struct error *err);
};

extern const struct report_form report_table, report_analysis, report_json, report_csv,
    report_samples_csv, report_points_csv, report_markdown, report_html;

/* The form for a file name. STATUS_USAGE names the extensions that there are. */
enum status report_form_for(const char *path, const struct report_form **form, struct error *err);
/* What suits a stream: a terminal's own width and, unless NO_COLOR is set, colour; otherwise 80
 * columns ($COLUMNS, where it is set) and none. */
struct report_options report_options_for(FILE *stream, bool wide);
/* What a person reads: the table, then the analysis. */
enum status report_print(const struct summary *summary, const struct report_options *options,
                         FILE *stream, struct error *err);
/* Whether a file can be written: its form is known, and its place can be written to. */
enum status report_check_file(const char *path, struct error *err);
/* The second half of it alone. */
enum status report_check_place(const char *path, struct error *err);
/* Writes beside and renames; the form is that of the name. */
enum status report_write_file(const char *path, const struct summary *summary, struct error *err);
/* The same in a form of the caller's choice. */
enum status report_write_form(const struct report_form *form, const char *path,
                              const struct summary *summary, struct error *err);

#endif
