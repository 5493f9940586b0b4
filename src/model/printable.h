/* Text from a file made safe for a terminal, a log and JSON. */
#ifndef PRONY_MODEL_PRINTABLE_H
#define PRONY_MODEL_PRINTABLE_H

#include <stddef.h>

/* Copies what fits of text into out, NUL-terminated; bytes that are not printable ASCII become
 * question marks. Returns out. size > 0. */
static inline const char *printable(char *out, size_t size, const char *text, size_t bytes)
{
    size_t length = bytes < size ? bytes : size - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[length] = '\0';
    return out;
}

#endif
