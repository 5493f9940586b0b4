#include "engine/protocol_lines.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 * 1024 };

enum status protocol_lines_room(struct protocol_lines *lines, char **room, size_t *bytes,
                                struct error *err)
{
    if (lines->start > 0) {
        memmove(lines->bytes, lines->bytes + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->scanned -= lines->start;
        lines->start = 0;
    }
    if (lines->end >= PROTOCOL_MAX_LINE)
        return error_set(err, STATUS_PROTOCOL, "it sent a line of more than %d bytes",
                         PROTOCOL_MAX_LINE);
    if (lines->end == lines->capacity) {
        size_t capacity = lines->capacity ? lines->capacity * 2 : FIRST_ROOM;
        char *grown = realloc(lines->bytes, capacity);
        if (!grown)
            return error_no_memory(err, capacity);
        lines->bytes = grown;
        lines->capacity = capacity;
    }
    *room = lines->bytes + lines->end;
    *bytes = lines->capacity - lines->end;
    return STATUS_OK;
}

void protocol_lines_add(struct protocol_lines *lines, size_t bytes)
{
    lines->end += bytes;
}

const char *protocol_lines_take(struct protocol_lines *lines, size_t *length)
{
    if (lines->scanned == lines->end)
        return NULL;
    const char *newline = memchr(lines->bytes + lines->scanned, '\n', lines->end - lines->scanned);
    if (!newline) {
        lines->scanned = lines->end;
        return NULL;
    }
    const char *line = lines->bytes + lines->start;
    *length = (size_t)(newline - line);
    lines->start = lines->scanned = (size_t)(newline - lines->bytes) + 1;
    return line;
}

size_t protocol_lines_left(const struct protocol_lines *lines)
{
    return lines->end - lines->start;
}

void protocol_lines_free(struct protocol_lines *lines)
{
    free(lines->bytes);
    *lines = (struct protocol_lines){0};
}

/* Bytes of the UTF-8 character at text; 0 when it is none (surrogates and overlong forms too). */
static size_t utf8_length(const unsigned char *text, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;
    if (length <= 1 || length > left)
        return length > left ? 0 : length;
    uint32_t code = text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0
                                                                                        : length;
}

void protocol_clean(char *out, size_t size, const char *text, size_t length)
{
    size_t used = 0;
    if (size == 0)
        return;
    for (size_t i = 0; i < length;) {
        const unsigned char *c = (const unsigned char *)text + i;
        size_t bytes = utf8_length(c, length - i);
        /* C1 controls, U+0080 to U+009F, move a terminal's cursor as well. */
        bool control = *c < ' ' || *c == 0x7f || (bytes == 2 && *c == 0xc2 && c[1] < 0xa0);
        size_t put = control || bytes == 0 ? 1 : bytes;
        if (used + put + sizeof "..." > size) {
            const char *dots = size >= sizeof "..." ? "..." : "";
            memcpy(out + used, dots, strlen(dots) + 1);
            return;
        }
        if (control)
            out[used] = ' ';
        else if (bytes == 0)
            out[used] = '?';
        else
            memcpy(out + used, c, bytes);
        used += put;
        i += bytes ? bytes : 1;
    }
    out[used] = '\0';
}
