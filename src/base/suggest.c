#include "base/suggest.h"

#include <string.h>

enum { LONGEST = 63 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance with adjacent swaps (optimal string alignment). */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate)
{
    size_t a = strlen(suggestion->word), b = strlen(candidate);
    if (a == 0 || a > LONGEST || b > LONGEST)
        return;
    size_t distance = edit_distance(suggestion->word, a, candidate, b);
    /* What was begun and not finished is near as well: "iter" for "iterations". */
    if (a >= 3 && a < b && strncmp(suggestion->word, candidate, a) == 0)
        distance = 1;
    size_t limit = a < 4 ? 1 : a < 8 ? 2 : 3;
    if (distance <= limit && (!suggestion->best || distance < suggestion->distance)) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}
