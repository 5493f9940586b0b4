/* Reads JSON in place, value by value, for texts of many small values, where a tree of them costs
 * many times the reading. Strings are decoded where they stand, so the text is used up. What is
 * skipped is not checked: hand it to jansson. */
#ifndef PRONY_BASE_JSON_SCAN_H
#define PRONY_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_scan {
    char *at;          /* in a NUL-terminated text */
    bool first;        /* a bracket was opened, and nothing of it was read yet */
    const char *fault; /* what is wrong at `at`; from then on everything fails. NULL: nothing */
};

/* Enters an array ('[') or an object ('{'). */
bool json_scan_open(struct json_scan *scan, char bracket);
/* Steps over the comma to the next value (of an object: the next key) of what ends with bracket
 * (']' or '}'). False after the last, and on a fault. */
bool json_scan_more(struct json_scan *scan, char bracket);
/* The first character of the value at hand. */
char json_scan_peek(struct json_scan *scan);
/* NUL-terminated valid UTF-8, within the text; NULL on a fault. A NUL in it is one. */
char *json_scan_string(struct json_scan *scan);
/* The same, and the colon after it. */
char *json_scan_key(struct json_scan *scan);
/* A whole number, without exponent. */
bool json_scan_integer(struct json_scan *scan, int64_t *value);
/* Any value, as *bytes of text that are left as they are; NULL on a fault. */
const char *json_scan_skip(struct json_scan *scan, size_t *bytes);
/* Whether nothing but space follows up to end. */
bool json_scan_end(struct json_scan *scan, const char *end);

#endif
