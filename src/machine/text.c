#include "machine/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *text_sysfs(void)
{
    const char *copy = getenv("PRONY_SYSFS");
    return copy && *copy ? copy : "/sys";
}

bool text_line(const char *path, char *text, size_t size)
{
    text[0] = '\0';
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    bool got = fgets(text, (int)size, stream) != NULL;
    fclose(stream);
    text[strcspn(text, "\n")] = '\0';
    return got;
}

/* The value in "NAME : value", or NULL when the line is about something else. */
static char *value_in(char *line, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(line, name, length) != 0)
        return NULL;
    char *at = line + length + strspn(line + length, " \t");
    if (*at != ':' && *at != '=')
        return NULL;
    at++;
    at += strspn(at, " \t\"");
    size_t end = strlen(at);
    while (end && strchr(" \t\r\n\"", at[end - 1]))
        at[--end] = '\0';
    return at;
}

bool text_field(const char *path, const char *name, char *text, size_t size)
{
    char *line = NULL, *value = NULL;
    size_t room = 0;
    text[0] = '\0';
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    while (!value && getline(&line, &room, stream) >= 0)
        value = value_in(line, name);
    if (value)
        snprintf(text, size, "%s", value);
    bool found = value != NULL;
    free(line);
    fclose(stream);
    return found;
}

int64_t text_field_bytes(const char *path, const char *name)
{
    char text[64], *end;
    if (!text_field(path, name, text, sizeof text))
        return -1;
    long long number = strtoll(text, &end, 10);
    if (end == text || number < 0 || number > INT64_MAX / 1024)
        return -1;
    return strncmp(end, " kB", 3) == 0 ? number * 1024 : number;
}
