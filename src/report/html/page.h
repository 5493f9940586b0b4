/* The page that everything of a run stands on: its sections, and the parts that they are made of.
 * What comes from an engine or a file goes through page_text and nothing else. */
#ifndef PRONY_REPORT_HTML_PAGE_H
#define PRONY_REPORT_HTML_PAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "bench/series.h"
#include "report/facts.h"
#include "report/findings.h"
#include "report/story.h"

struct page {
    FILE *stream;
    const struct summary *summary;
    struct series series;
    struct run_facts facts;
    struct findings findings; /* order of columns, titles */
    struct story story;
    json_t *plan, *manifest; /* objects, maybe empty */
    struct arena *arena;
    FILE *data; /* the CSV of the figure at hand */
    char *data_text;
    size_t data_bytes;
    bool failed; /* no memory: the page is not complete */
};

enum { PAGE_COLOURS = 8 }; /* classes v0 ... of page.css; then they begin again */

struct page_section {
    const char *id, *title;
    bool (*wanted)(const struct page *page); /* whether the run has anything for it */
    void (*write)(struct page *page);        /* below the heading */
};

extern const struct page_section section_limit, section_table, section_analysis, section_verdicts,
    section_equivalence, section_latency, section_tokens, section_lengths, section_start,
    section_starts, section_memory, section_disturbances, section_failures, section_manifest;

/* page.css and page.js, and their digests for the page's own security policy: "sha256-…". */
extern const char page_css[], page_css_digest[], page_js[], page_js_digest[];

/* Text as text, whatever it holds; also within an attribute's quotes. NULL is "". */
void page_text(struct page *page, const char *text);
/* Made from numbers and texts, then written as text. */
void page_printf(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A figure with a caption; between begin and end its chart is written, and its numbers go as CSV
 * to page->data, whose first line is the columns' names. */
void figure_begin(struct page *page, const char *caption, const char *columns);
/* The first field of a line of data. */
void figure_variant(struct page *page, size_t variant);
void figure_end(struct page *page);

/* A column's variant. */
size_t page_variant(const struct page *page, size_t column);
/* A variant that computes something else than the reference: no chart may pass it off as fast. */
bool page_differs(const struct page *page, size_t variant);
/* Whether anything of a metric is known. */
bool page_knows(const struct page *page, enum metric metric);

#endif
