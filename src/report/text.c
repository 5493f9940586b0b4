#include "report/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

static const uint32_t REPLACEMENT = 0xFFFD;

/* Decodes one character, at most 4 bytes, and returns its length; a byte that begins no valid
 * UTF-8 (RFC 3629: shortest form, no surrogates) is one U+FFFD. text may not be at its end. */
static size_t utf8_decode(const char *text, uint32_t *code)
{
    const unsigned char *s = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80       ? 1
                    : s[0] >> 5 == 6  ? 2
                    : s[0] >> 4 == 14 ? 3
                    : s[0] >> 3 == 30 ? 4
                                      : 0;
    uint32_t value = length < 2 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            length = 0;
        else
            value = value << 6 | (s[i] & 0x3F);
    }
    bool valid = length && value >= least[length] && value <= 0x10FFFF && value >> 11 != 0x1B;
    *code = valid ? value : REPLACEMENT;
    return valid ? length : 1;
}

static size_t utf8_encode(uint32_t code, char *text)
{
    if (code < 0x80) {
        text[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3F));
    text[0] = (char)((0xF00u >> length) | code);
    return length;
}

/* Unicode 15.1, general categories Cc and Cf, and the line separators. The joiners U+200C and
 * U+200D stay: scripts and emoji need them. */
static uint32_t harmless(uint32_t code)
{
    if (code == '\t' || code == '\n' || code == '\r' || code == 0x2028 || code == 0x2029)
        return ' ';
    bool control = code < 0x20 || (code >= 0x7F && code <= 0x9F);
    bool invisible = code == 0x200B || code == 0x200E || code == 0x200F || code == 0x61C ||
                     (code >= 0x202A && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
                     code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFB) ||
                     (code >= 0xE0000 && code <= 0xE0FFF);
    return control || invisible ? REPLACEMENT : code;
}

char *text_clean(struct arena *arena, const char *text)
{
    if (!text)
        text = "";
    /* One byte may become the three of U+FFFD. */
    size_t capacity;
    if (__builtin_mul_overflow(strlen(text), (size_t)3, &capacity))
        return NULL;
    char *copy = arena_alloc(arena, capacity + 1);
    if (!copy)
        return NULL;
    char *end = copy;
    while (*text) {
        uint32_t code;
        text += utf8_decode(text, &code);
        end += utf8_encode(harmless(code), end);
    }
    *end = '\0';
    return copy;
}

/* The longest beginning of a text's first bytes that takes at most width columns; *columns is
 * what it takes. wcwidth knows characters by the locale, and UTF-8's widths are wanted whatever
 * the user's is; without that locale every character counts as one column. */
static size_t head_within(const char *text, size_t bytes, size_t width, size_t *columns)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    size_t used = 0;
    *columns = 0;
    while (used < bytes) {
        uint32_t code;
        size_t length = utf8_decode(text + used, &code);
        int own = wcwidth((wchar_t)code);
        size_t after = *columns + (own < 0 ? 1 : (size_t)own);
        if (after > width)
            break;
        *columns = after;
        used += length;
    }
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    return used;
}

/* Width of the first bytes of a text. */
static size_t width_of(const char *text, size_t bytes)
{
    size_t columns, ascii = 0;
    while (ascii < bytes && (unsigned char)text[ascii] < 0x80)
        ascii++;
    if (ascii < bytes)
        head_within(text, bytes, SIZE_MAX, &columns);
    else
        columns = bytes;
    return columns;
}

size_t text_width(const char *text)
{
    return width_of(text, strlen(text));
}

const char *text_fit(struct arena *arena, const char *text, size_t width)
{
    if (text_width(text) <= width)
        return text;
    size_t bytes = strlen(text), columns, tail_width = width / 2;
    size_t head =
        head_within(text, bytes, width > tail_width ? width - tail_width - 1 : 0, &columns);
    size_t before_tail = head_within(text, bytes, text_width(text) - tail_width, &columns);
    /* A wide character, or what combines with the one before, may stand at the cut. */
    while (text[before_tail] && text_width(text + before_tail) > tail_width) {
        uint32_t code;
        before_tail += utf8_decode(text + before_tail, &code);
    }
    return arena_printf(arena, "%.*s…%s", (int)head, text, text + before_tail);
}

/* Prints bytes of text, no-break spaces as plain ones. */
static void print_bytes(FILE *stream, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (i + 1 < bytes && memcmp(text + i, TEXT_NBSP, 2) == 0) {
            fputc(' ', stream);
            i++;
        } else {
            fputc(text[i], stream);
        }
    }
}

void text_pad(FILE *stream, const char *text, size_t width, enum text_align align)
{
    size_t own = text_width(text);
    int spaces = own < width ? (int)(width - own) : 0;
    if (align == TEXT_RIGHT)
        fprintf(stream, "%*s", spaces, "");
    print_bytes(stream, text, strlen(text));
    if (align == TEXT_LEFT)
        fprintf(stream, "%*s", spaces, "");
}

/* Where a wrapped text stands: lines begin at indent and end before width. */
struct wrapping {
    FILE *stream;
    size_t indent, width, column;
    bool empty; /* nothing on this line yet */
};

static void wrapping_break(struct wrapping *wrapping)
{
    fprintf(wrapping->stream, "\n%*s", (int)wrapping->indent, "");
    wrapping->column = wrapping->indent;
    wrapping->empty = true;
}

/* Prints one word, over several lines when it is longer than one. */
static void wrapping_word(struct wrapping *wrapping, const char *word, size_t bytes)
{
    if (!wrapping->empty && wrapping->column + 1 + width_of(word, bytes) > wrapping->width)
        wrapping_break(wrapping);
    if (!wrapping->empty) {
        fputc(' ', wrapping->stream);
        wrapping->column++;
    }
    while (bytes) {
        size_t columns, room = wrapping->width - wrapping->column;
        size_t part = head_within(word, bytes, room, &columns);
        print_bytes(wrapping->stream, word, part);
        wrapping->column += columns;
        wrapping->empty = false;
        word += part;
        bytes -= part;
        if (bytes)
            wrapping_break(wrapping);
    }
}

/* Bytes of the word that a text begins with; "5 %" is one. */
static size_t word_bytes(const char *text)
{
    size_t bytes = strcspn(text, " ");
    while (text[bytes] == ' ' && text[bytes + 1] == '%')
        bytes += 1 + strcspn(text + bytes + 1, " ");
    return bytes;
}

void text_wrap(FILE *stream, const char *text, size_t column, size_t indent, size_t width)
{
    enum { NARROWEST = 8 };
    size_t start = column > indent ? column : indent;
    struct wrapping wrapping = {stream, indent, width, column, true};
    if (width < start + NARROWEST)
        wrapping.width = start + NARROWEST;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t bytes = word_bytes(text);
        wrapping_word(&wrapping, text, bytes);
        text += bytes;
    }
    fputc('\n', stream);
}
