#include "machine/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "machine/text.h"

enum { MAX_PROCESSES = 512 };

const char memory_tree_method[] =
    "host: PSS of the worker and its descendants; peak: the larger of that and their VmHWM";

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

size_t memory_tree_pids(pid_t pid, pid_t *list, size_t room)
{
    size_t count = 1;
    list[0] = pid;
    for (size_t i = 0; i < count; i++)
        count = descend(list[i], list, count, room);
    return count;
}

static void add(int64_t *sum, int64_t value)
{
    if (value >= 0)
        *sum = *sum < 0 ? value : *sum + value;
}

void memory_tree_read(pid_t pid, struct memory_tree *tree)
{
    pid_t list[MAX_PROCESSES];
    size_t count = memory_tree_pids(pid, list, MAX_PROCESSES);
    *tree = (struct memory_tree){-1, -1};
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)list[i]);
        add(&tree->pss_bytes, text_field_bytes(path, "Pss"));
        snprintf(path, sizeof path, "/proc/%d/status", (int)list[i]);
        add(&tree->peak_bytes, text_field_bytes(path, "VmHWM"));
    }
}

int64_t memory_total_bytes(void)
{
    return text_field_bytes("/proc/meminfo", "MemTotal");
}

int64_t memory_free_bytes(void)
{
    return text_field_bytes("/proc/meminfo", "MemAvailable");
}

int64_t memory_swap_bytes(void)
{
    return text_field_bytes("/proc/meminfo", "SwapTotal");
}
