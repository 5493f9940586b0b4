/* What was said, as text, for /save. */
#ifndef PRONY_TALK_TRANSCRIPT_H
#define PRONY_TALK_TRANSCRIPT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Zero-initialise. */
struct transcript {
    char *text;
    size_t bytes, capacity;
    bool lacks;           /* there was no memory for some of it */
    char saved[PATH_MAX]; /* where it was saved last; "": nowhere */
};

void transcript_add(struct transcript *transcript, const char *text, size_t bytes);
void transcript_heading(struct transcript *transcript, const char *who);
/* Back to what there was, when a turn failed. */
void transcript_cut(struct transcript *transcript, size_t bytes);
/* Writes it to path, or, when that is empty, to where it was saved last or a new name of its own in
 * this folder. A file that this transcript did not write is never replaced. */
enum status transcript_save(struct transcript *transcript, const char *path, const char *title,
                            struct error *err);
void transcript_free(struct transcript *transcript);

#endif
