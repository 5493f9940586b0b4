/* What arrives from a worker, as text: whole lines of its bytes, and copies that may be shown. */
#ifndef PRONY_ENGINE_PROTOCOL_LINES_H
#define PRONY_ENGINE_PROTOCOL_LINES_H

#include <stddef.h>

#include "base/error.h"

enum { PROTOCOL_MAX_LINE = 32 << 20 }; /* bytes, newline included */

/* Bytes that have arrived and the lines in them. Zero-initialise. */
struct protocol_lines {
    char *bytes;
    size_t start, end, scanned, capacity;
};

/* Room for at least one more byte; STATUS_PROTOCOL when an unfinished line is too long. */
enum status protocol_lines_room(struct protocol_lines *lines, char **room, size_t *bytes,
                                struct error *err);
void protocol_lines_add(struct protocol_lines *lines, size_t bytes);
/* The next whole line without its newline; NULL when there is none. Valid until the next call. */
const char *protocol_lines_take(struct protocol_lines *lines, size_t *length);
/* Bytes that were not taken yet. */
size_t protocol_lines_left(const struct protocol_lines *lines);
void protocol_lines_free(struct protocol_lines *lines);

/* A copy of a worker's text fit for a terminal and for JSON: valid UTF-8 without control
 * characters, cut with "..." when too long. */
void protocol_clean(char *out, size_t size, const char *text, size_t length);

#endif
