#include "machine/memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/descendants.h"
#include "machine/text.h"

const char memory_tree_method[] =
    "host: PSS of the worker and its descendants; peak: the larger of that and their VmHWM";

static void add(int64_t *sum, int64_t value)
{
    if (value >= 0)
        *sum = *sum < 0 ? value : *sum + value;
}

void memory_tree_read(pid_t pid, struct memory_tree *tree)
{
    pid_t list[DESCENDANTS_MAX];
    size_t count = descendants_list(pid, list, DESCENDANTS_MAX);
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
