/* Bytes as they arrive, token by token, made into whole UTF-8 characters: none is ever cut, and
 * what is not UTF-8 becomes U+FFFD, one for each incomplete sequence or byte that starts none (as
 * The Unicode Standard recommends, and as Python's "replace" does). */
#ifndef PRONY_MODEL_STREAM_TEXT_H
#define PRONY_MODEL_STREAM_TEXT_H

#include <stddef.h>

/* Zero-initialise. */
struct stream_text {
    char pending[4];         /* the start of a character */
    size_t bytes, length;    /* of it that are there; that it will have */
    unsigned char low, high; /* what its next byte may be */
};

/* Room for what `bytes` more bytes can become, in bytes. */
#define STREAM_TEXT_ROOM(bytes) (3 * ((size_t)(bytes) + 1))

/* Takes bytes; writes the characters that are now whole to out, which has STREAM_TEXT_ROOM(bytes),
 * and returns how many bytes that are. */
size_t stream_text_push(struct stream_text *stream, const char *text, size_t bytes, char *out);

/* No more bytes follow: a character that was never finished becomes U+FFFD in out, which has
 * STREAM_TEXT_ROOM(0). Returns the bytes written; the stream is as new. */
size_t stream_text_end(struct stream_text *stream, char *out);

#endif
