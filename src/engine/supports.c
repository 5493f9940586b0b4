#include "engine/supports.h"

#include <string.h>

static bool has(const char *const *list, const char *word, size_t length)
{
    for (; list && *list; list++)
        if (strlen(*list) == length && strncmp(*list, word, length) == 0)
            return true;
    return false;
}

bool supports_word(const char *const *list, const char *word)
{
    return has(list, word, strlen(word));
}

bool supports_device(const char *const *list, const char *device)
{
    return has(list, device, strcspn(device, ":"));
}
