/* "Did you mean ...?": the nearest of some known words to one that is not known. */
#ifndef PRONY_BASE_SUGGEST_H
#define PRONY_BASE_SUGGEST_H

#include <stddef.h>

/* Start with {.word = what the user wrote}; after all offers best is the nearest, or NULL. */
struct suggestion {
    const char *word;
    const char *best; /* borrowed from the offer */
    size_t distance;
};

/* Only words that are near enough to be a slip of the finger are taken. */
void suggestion_offer(struct suggestion *suggestion, const char *candidate);

#endif
