#include "model/tokenizer/byte_alphabet.h"

#include <stdint.h>

/* Bytes that stand for themselves: '!'..'~', U+00A1..U+00AC, U+00AE..U+00FF. The other 68 are
 * U+0100 to U+0143: 0x00-0x20 (33 of them), 0x7F-0xA0 (34) and 0xAD. */
enum { FIRST_MOVED = 0x100, LOW_MOVED = 0x21, MIDDLE_MOVED = 0x22, MOVED = 68 };

size_t byte_alphabet_encode(unsigned char byte, char out[2])
{
    unsigned character = byte;
    if (byte <= 0x20)
        character = FIRST_MOVED + byte;
    else if (byte >= 0x7F && byte <= 0xA0)
        character = FIRST_MOVED + LOW_MOVED + (byte - 0x7F);
    else if (byte == 0xAD)
        character = FIRST_MOVED + LOW_MOVED + MIDDLE_MOVED;
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    out[0] = (char)(0xC0 | character >> 6);
    out[1] = (char)(0x80 | (character & 0x3F));
    return 2;
}

/* The byte that a character stands for; -1 for a character that is none of them. */
static int character_byte(unsigned character)
{
    if (character >= FIRST_MOVED) {
        unsigned moved = character - FIRST_MOVED;
        if (moved < LOW_MOVED)
            return (int)moved;
        if (moved < LOW_MOVED + MIDDLE_MOVED)
            return (int)(0x7F + moved - LOW_MOVED);
        return moved < MOVED ? 0xAD : -1;
    }
    bool itself = (character > 0x20 && character < 0x7F) || (character > 0xA0 && character != 0xAD);
    return itself ? (int)character : -1;
}

bool byte_alphabet_decode(const char *text, size_t text_bytes, char *out, size_t *out_bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0, length = 0;
    while (at < text_bytes) {
        unsigned character = s[at++];
        if (character >= 0x80) {
            /* Every stand-in is below U+0800: two bytes. */
            if (character < 0xC2 || character > 0xDF || at == text_bytes || (s[at] & 0xC0) != 0x80)
                return false;
            character = (character & 0x1F) << 6 | (s[at++] & 0x3F);
        }
        int byte = character_byte(character);
        if (byte < 0)
            return false;
        out[length++] = (char)byte;
    }
    *out_bytes = length;
    return true;
}
