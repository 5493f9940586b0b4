#include "machine/nodes.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/text.h"

enum { LIST = 8192 }; /* "0,2,4,…" of 1024 processors */

/* Whether one of the processors is in a list as the kernel writes it: "0-31,64-95"; "" for the
 * node of memory without processors. */
static bool list_has(const char *list, const struct cores *cores)
{
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return false;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (uint32_t i = 0; i < cores->cpu_count; i++)
            if (cores->cpu[i] >= first && cores->cpu[i] <= last)
                return true;
        list = *end == ',' ? end + 1 : "";
    }
    return false;
}

static bool is_node(const char *name)
{
    return strncmp(name, "node", 4) == 0 && name[4] &&
           strspn(name + 4, "0123456789") == strlen(name + 4);
}

struct nodes nodes_read(const char *sys, const struct cores *cores)
{
    struct nodes nodes = {0};
    char folder[PATH_MAX], path[PATH_MAX + 280], list[LIST];
    snprintf(folder, sizeof folder, "%s/devices/system/node", sys);
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        snprintf(path, sizeof path, "%s/%s/cpulist", folder, entry->d_name);
        if (!is_node(entry->d_name))
            continue;
        nodes.count++;
        nodes.used += text_line(path, list, sizeof list) && list_has(list, cores);
    }
    if (entries)
        closedir(entries);
    return nodes;
}
