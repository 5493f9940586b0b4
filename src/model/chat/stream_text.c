#include "model/chat/stream_text.h"

#include <stdbool.h>
#include <string.h>

static size_t replacement_put(char *out)
{
    static const char replacement[] = {'\xEF', '\xBF', '\xBD'};
    memcpy(out, replacement, sizeof replacement);
    return sizeof replacement;
}

/* A byte outside a character: a whole one, the start of one, or neither. Returns bytes written. */
static size_t start(struct stream_text *stream, unsigned char byte, char *out)
{
    if (byte < 0x80) {
        *out = (char)byte;
        return 1;
    }
    if (byte < 0xC2 || byte > 0xF4)
        return replacement_put(out);
    /* The Unicode Standard, table 3-7: no overlong forms, no surrogates, no more than U+10FFFF. */
    *stream = (struct stream_text){
        .pending = {(char)byte},
        .bytes = 1,
        .length = byte < 0xE0   ? 2
                  : byte < 0xF0 ? 3
                                : 4,
        .low = byte == 0xE0   ? 0xA0
               : byte == 0xF0 ? 0x90
                              : 0x80,
        .high = byte == 0xED   ? 0x9F
                : byte == 0xF4 ? 0x8F
                               : 0xBF,
    };
    return 0;
}

size_t stream_text_push(struct stream_text *stream, const char *text, size_t bytes, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool continues = stream->bytes && byte >= stream->low && byte <= stream->high;
        if (!continues) {
            used += stream_text_end(stream, out + used);
            used += start(stream, byte, out + used);
            continue;
        }
        stream->pending[stream->bytes++] = (char)byte;
        stream->low = 0x80;
        stream->high = 0xBF;
        if (stream->bytes == stream->length) {
            memcpy(out + used, stream->pending, stream->length);
            used += stream->length;
            stream->bytes = 0;
        }
    }
    return used;
}

size_t stream_text_end(struct stream_text *stream, char *out)
{
    size_t used = stream->bytes ? replacement_put(out) : 0;
    *stream = (struct stream_text){0};
    return used;
}
