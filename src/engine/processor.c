#include "engine/processor.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* Lines of /proc/cpuinfo that a compiler goes by. */
static const char *const keys[] = {"vendor_id", "cpu family",      "model\t",
                                   "Features",  "CPU implementer", "CPU part"};
/* Flags of x86 that a compiler goes by begin so; others come and go with the kernel's version. */
static const char *const flags[] = {"avx", "sse", "ssse", "amx", "fma", "f16c", "bmi", "popcnt"};

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash_add(uint32_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

static int begins_as(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return 1;
    return 0;
}

static uint32_t flags_add(uint32_t hash, char *line)
{
    char *rest;
    for (char *flag = strtok_r(line, " \t\n", &rest); flag; flag = strtok_r(NULL, " \t\n", &rest))
        if (begins_as(flag, flags, sizeof flags / sizeof flags[0]))
            hash = hash_add(hash, flag);
    return hash;
}

void processor_tag(char tag[PROCESSOR_TAG])
{
    struct utsname system;
    char *line = NULL;
    size_t room = 0;
    uint32_t hash = 2166136261u;
    FILE *stream = fopen("/proc/cpuinfo", "re");
    /* An empty line ends the first of the processors. */
    while (stream && getline(&line, &room, stream) > 1) {
        if (strncmp(line, "flags", strlen("flags")) == 0)
            hash = flags_add(hash, line);
        else if (begins_as(line, keys, sizeof keys / sizeof keys[0]))
            hash = hash_add(hash, line);
    }
    free(line);
    if (stream)
        fclose(stream);
    snprintf(tag, PROCESSOR_TAG, "%.20s-%08x", uname(&system) == 0 ? system.machine : "cpu", hash);
}
