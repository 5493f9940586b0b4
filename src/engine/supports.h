/* What a variant's lists in engine.json have. */
#ifndef PRONY_ENGINE_SUPPORTS_H
#define PRONY_ENGINE_SUPPORTS_H

#include <stdbool.h>

/* Whether a list has a word. */
bool supports_word(const char *const *list, const char *word);
/* Whether a list has the device ("cuda:1"), whose number does not matter. */
bool supports_device(const char *const *list, const char *device);

#endif
