#include "base/json_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static bool fail(struct json_scan *scan, const char *fault)
{
    if (!scan->fault)
        scan->fault = fault;
    return false;
}

char json_scan_peek(struct json_scan *scan)
{
    while (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t')
        scan->at++;
    return *scan->at;
}

static bool take(struct json_scan *scan, char mark, const char *fault)
{
    if (scan->fault || json_scan_peek(scan) != mark)
        return fail(scan, fault);
    scan->at++;
    return true;
}

bool json_scan_open(struct json_scan *scan, char bracket)
{
    scan->first = true;
    return take(scan, bracket, bracket == '[' ? "an array is expected" : "an object is expected");
}

bool json_scan_more(struct json_scan *scan, char bracket)
{
    bool first = scan->first;
    scan->first = false;
    if (scan->fault)
        return false;
    if (json_scan_peek(scan) == bracket) {
        scan->at++;
        return false;
    }
    return first || take(scan, ',', "a comma or the end of the array or object is expected");
}

/* The four digits of \uXXXX; -1: they are none. */
static long hex4(const char *text)
{
    long value = 0;
    for (int i = 0; i < 4; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *to, long code)
{
    static const struct {
        long below;
        unsigned char lead;
    } forms[] = {{0x80, 0}, {0x800, 0xc0}, {0x10000, 0xe0}, {0x110000, 0xf0}};
    int more = 0;
    while (code >= forms[more].below)
        more++;
    *to++ = (char)(forms[more].lead | code >> 6 * more);
    while (more-- > 0)
        *to++ = (char)(0x80 | (code >> 6 * more & 0x3f));
    return to;
}

/* The character after "\u", which may take two of them; NULL on a fault. */
static char *unicode_escape(struct json_scan *scan, char *to)
{
    long code = hex4(scan->at);
    if (code >= 0)
        scan->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && scan->at[0] == '\\' && scan->at[1] == 'u') {
        long low = hex4(scan->at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            scan->at += 6;
            return put_utf8(to, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    if (code <= 0 || (code >= 0xd800 && code < 0xe000)) {
        fail(scan, "an escaped character is none");
        return NULL;
    }
    return put_utf8(to, code);
}

static char *escape(struct json_scan *scan, char *to)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char name = scan->at[1];
    const char *found = name ? strchr(names, name) : NULL;
    if (!found && name != 'u') {
        fail(scan, "there is no such escape");
        return NULL;
    }
    scan->at += 2;
    if (!found)
        return unicode_escape(scan, to);
    *to = meant[found - names];
    return to + 1;
}

char *json_scan_string(struct json_scan *scan)
{
    if (!take(scan, '"', "a string is expected"))
        return NULL;
    char *text = scan->at, *to = text;
    while (*scan->at != '"') {
        if ((unsigned char)*scan->at < ' ') {
            fail(scan, "a string does not end, or has a control character");
            return NULL;
        }
        if (*scan->at != '\\')
            *to++ = *scan->at++;
        else if (!(to = escape(scan, to)))
            return NULL;
    }
    scan->at++;
    *to = '\0';
    if (utf8_valid_prefix(text, (size_t)(to - text)) != (size_t)(to - text)) {
        fail(scan, "a string is not UTF-8");
        return NULL;
    }
    return text;
}

char *json_scan_key(struct json_scan *scan)
{
    char *key = json_scan_string(scan);
    return take(scan, ':', "a colon is expected") ? key : NULL;
}

/* Up to what ends a number or a word; a value may be followed by nothing else. */
static char *scalar_end(char *at)
{
    return at + strcspn(at, ",]} \t\r\n");
}

bool json_scan_integer(struct json_scan *scan, int64_t *value)
{
    char first = scan->fault ? '\0' : json_scan_peek(scan), *end;
    if (first != '-' && (first < '0' || first > '9'))
        return fail(scan, "a number is expected");
    errno = 0;
    *value = strtoll(scan->at, &end, 10);
    const char *digits = scan->at + (first == '-');
    if (errno || end == scan->at || end != scalar_end(scan->at) ||
        (digits[0] == '0' && end > digits + 1))
        return fail(scan, "a whole number is expected");
    scan->at = end;
    return true;
}

static bool skip_string(struct json_scan *scan)
{
    for (scan->at++; *scan->at != '"'; scan->at++) {
        scan->at += *scan->at == '\\';
        if (!*scan->at)
            return fail(scan, "a string does not end");
    }
    scan->at++;
    return true;
}

const char *json_scan_skip(struct json_scan *scan, size_t *bytes)
{
    size_t depth = 0;
    if (scan->fault)
        return NULL;
    json_scan_peek(scan);
    const char *start = scan->at;
    do {
        char c = json_scan_peek(scan);
        if (!c || ((c == ',' || c == ']' || c == '}' || c == ':') && depth == 0)) {
            fail(scan, "a value is expected");
            return NULL;
        }
        if (c == '"') {
            if (!skip_string(scan))
                return NULL;
        } else if (strchr("{}[],:", c)) {
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
            scan->at++;
        } else {
            scan->at = scalar_end(scan->at);
        }
    } while (depth > 0);
    *bytes = (size_t)(scan->at - start);
    return start;
}

bool json_scan_end(struct json_scan *scan, const char *end)
{
    json_scan_peek(scan);
    return !scan->fault && (scan->at == end || fail(scan, "something follows the end"));
}
