#include "base/descendants.h"

#include <dirent.h>
#include <stdio.h>

/* Appends the children that one thread of a process has started. */
static size_t children_append(pid_t pid, const char *thread, pid_t *list, size_t count, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread);
    FILE *stream = fopen(path, "re");
    int child;
    while (stream && count < room && fscanf(stream, "%d", &child) == 1)
        list[count++] = child;
    if (stream)
        fclose(stream);
    return count;
}

/* Those of all its threads: programs in Go start others from any of theirs. */
static size_t descend(pid_t pid, pid_t *list, size_t count, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (struct dirent *entry; threads && (entry = readdir(threads));)
        if (entry->d_name[0] != '.')
            count = children_append(pid, entry->d_name, list, count, room);
    if (threads)
        closedir(threads);
    return count;
}

size_t descendants_list(pid_t pid, pid_t *list, size_t room)
{
    size_t count = 1;
    list[0] = pid;
    for (size_t i = 0; i < count; i++)
        count = descend(list[i], list, count, room);
    return count;
}
