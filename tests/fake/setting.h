/* What a test asks of a fake library, by an environment variable that holds words like "count=2".
 * SETTINGS, defined before this is included, is the variable's name. */
#ifndef PRONY_TESTS_SETTING_H
#define PRONY_TESTS_SETTING_H

#include <stdlib.h>
#include <string.h>

static long setting(const char *name, long otherwise)
{
    const char *text = getenv(SETTINGS);
    size_t length = strlen(name);
    for (const char *at = text ? strstr(text, name) : NULL; at; at = strstr(at + 1, name))
        if (at[length] == '=' && (at == text || at[-1] == ' '))
            return strtol(at + length + 1, NULL, 10);
    return otherwise;
}

#define EXPORT __attribute__((visibility("default")))
/* Of the function that it stands in. */
#define RESULT ((int)setting(__func__, 0))

/* Nothing but a result. */
#define PLAIN(name)                                                                                \
    EXPORT int name(void);                                                                         \
    int name(void)                                                                                 \
    {                                                                                              \
        return RESULT;                                                                             \
    }

#endif
