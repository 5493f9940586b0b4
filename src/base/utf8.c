#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character that starts with a non-ASCII byte; 0 when there is no valid one (The
 * Unicode Standard, table 3-7). */
static size_t character_bytes(const unsigned char *s, size_t bytes)
{
    unsigned char lead = s[0], low = 0x80, high = 0xBF;
    size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0 || length > bytes)
        return 0;
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

size_t utf8_valid_prefix(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0;
    while (at < bytes) {
        uint64_t eight;
        if (bytes - at >= sizeof eight) {
            memcpy(&eight, s + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t length = s[at] < 0x80 ? 1 : character_bytes(s + at, bytes - at);
        if (length == 0)
            break;
        at += length;
    }
    return at;
}
