/* The analysis before any layout: labelled paragraphs and, last, the items of what is not proven.
 * The terminal and the page print the same. */
#ifndef PRONY_REPORT_STORY_H
#define PRONY_REPORT_STORY_H

#include "base/error.h"
#include "report/findings.h"

struct paragraph {
    const char *label; /* "" when it goes on with the one before */
    const char *text;
};

struct story {
    const char *scope;            /* after "Analysis": what is not claimed; "" */
    const char *key;              /* what the parentheses hold; "" */
    struct paragraph *paragraphs; /* by topic */
    size_t paragraph_count;
    const char **unproven;
    size_t unproven_count;
};

/* Texts live in the findings' arena. */
enum status story_make(struct story *story, struct findings *findings, struct error *err);

#endif
