/* Which bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PRONY_BASE_UTF8_H
#define PRONY_BASE_UTF8_H

#include <stddef.h>

/* How many leading bytes of text are whole, valid UTF-8 characters; bytes when all are. */
size_t utf8_valid_prefix(const char *text, size_t bytes);

#endif
