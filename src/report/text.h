/* Text for a terminal: made harmless, measured in columns, padded, shortened, wrapped. Text is
 * UTF-8; a no-break space (U+00A0) is printed as a space that no line ends at. */
#ifndef PRONY_REPORT_TEXT_H
#define PRONY_REPORT_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"

#define TEXT_NBSP "\xc2\xa0"

enum text_align { TEXT_LEFT, TEXT_RIGHT };

/* A copy that can be printed whatever it held: line ends and tabs become spaces; other control
 * characters (escape sequences begin with one), bytes that are not UTF-8, and characters that
 * change the direction of text become U+FFFD. NULL text is "". NULL: no memory. */
char *text_clean(struct arena *arena, const char *text);

/* Columns that a text takes on a terminal. */
size_t text_width(const char *text);

/* The text itself when it takes at most width columns, else a copy with its middle replaced by
 * an ellipsis: both ends of "engine-variant@version" tell something. NULL: no memory. */
const char *text_fit(struct arena *arena, const char *text, size_t width);

/* Prints text and spaces up to width columns. */
void text_pad(FILE *stream, const char *text, size_t width, enum text_align align);

/* Prints text in lines of at most width columns. The first begins at column, where whatever the
 * caller printed ends; the others after as many spaces as indent says. Longer words are cut. */
void text_wrap(FILE *stream, const char *text, size_t column, size_t indent, size_t width);

#endif
