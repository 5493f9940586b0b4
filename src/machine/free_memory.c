#include "machine/free_memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "machine/nvml.h"

/* The two generations of control groups name the same things differently. */
static const struct generation {
    const char *mount, *limit, *usage, *pages[2];
} generations[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}},
    {"/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}},
};

/* A file that is one number; false when it is none, as "max". */
static bool number_read(const char *folder, const char *name, uint64_t *value)
{
    char path[PATH_MAX];
    unsigned long long number;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    bool good = fscanf(stream, "%llu", &number) == 1;
    fclose(stream);
    *value = good ? number : 0;
    return good;
}

/* The number behind a word at the start of a line, times unit. */
static bool line_read(const char *path, const char *word, uint64_t unit, uint64_t *value)
{
    char line[256];
    unsigned long long number;
    bool found = false;
    FILE *stream = fopen(path, "re");
    if (!stream)
        return false;
    size_t length = strlen(word);
    while (!found && fgets(line, sizeof line, stream)) {
        found = strncmp(line, word, length) == 0 && strchr(" :", line[length]) &&
                sscanf(line + length + 1, "%llu", &number) == 1;
        if (found)
            *value = number * unit;
    }
    fclose(stream);
    return found;
}

static void take_least(struct free_memory *least, uint64_t bytes, const char *source)
{
    if (!least->known || bytes < least->bytes)
        *least = (struct free_memory){true, bytes, source};
}

/* One group: its limit, less what is used and could not be given up. */
static void group_read(const struct generation *generation, const char *folder,
                       struct free_memory *least)
{
    uint64_t limit, usage, pages = 0;
    char stat[PATH_MAX + 16];
    if (!number_read(folder, generation->limit, &limit) ||
        !number_read(folder, generation->usage, &usage))
        return;
    snprintf(stat, sizeof stat, "%s/memory.stat", folder);
    for (size_t i = 0; i < 2; i++) {
        uint64_t value = 0;
        if (line_read(stat, generation->pages[i], 1, &value))
            pages += value;
    }
    uint64_t held = usage > pages ? usage - pages : 0;
    take_least(least, limit > held ? limit - held : 0, "the limit of the control group");
}

/* The group that a line of /proc/self/cgroup names, and all above it. */
static void groups_read(const char *root, const char *line, struct free_memory *least)
{
    const char *path = strchr(line, ':');
    path = path ? strchr(path + 1, ':') : NULL;
    bool second = strncmp(line, "0::", 3) == 0;
    if (!path || !(second || strstr(line, ":memory:") || strstr(line, ",memory:") ||
                   strstr(line, ":memory,")))
        return;
    const struct generation *generation = &generations[second ? 0 : 1];
    char folder[PATH_MAX];
    size_t mount = (size_t)snprintf(folder, sizeof folder, "%s%s", root, generation->mount);
    snprintf(folder + mount, sizeof folder - mount, "%.2000s", path + 1);
    folder[strcspn(folder, "\n")] = '\0';
    for (size_t end = strlen(folder); end >= mount; end--) {
        if (folder[end] != '/' && folder[end] != '\0')
            continue;
        folder[end] = '\0';
        group_read(generation, folder, least);
    }
}

struct free_memory free_memory_host_under(const char *root)
{
    struct free_memory least = {0};
    char path[PATH_MAX], line[2200];
    uint64_t available;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    if (line_read(path, "MemAvailable", 1024, &available))
        take_least(&least, available, "MemAvailable");
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *stream = fopen(path, "re");
    while (stream && fgets(line, sizeof line, stream))
        groups_read(root, line, &least);
    if (stream)
        fclose(stream);
    return least;
}

struct free_memory free_memory_host(void)
{
    return free_memory_host_under("");
}

static void card_read(const struct nvml *nvml, struct nvml_device *device,
                      struct free_memory *least)
{
    struct nvml_facts facts;
    nvml_facts_read(nvml, device, &facts);
    struct nvml_value used = nvml_used_bytes(nvml, device);
    if (facts.total_bytes.known && used.known && facts.total_bytes.value >= used.value)
        take_least(least, (uint64_t)(facts.total_bytes.value - used.value), "NVML");
}

struct free_memory free_memory_card(const char *pci)
{
    struct free_memory least = {0};
    struct nvml *nvml;
    struct nvml_device *device;
    struct error ignored;
    if (nvml_open_card(&nvml, pci, &device, &ignored) == STATUS_OK)
        card_read(nvml, device, &least);
    nvml_close(nvml);
    return least;
}

struct free_memory free_memory_cards(uint32_t cards)
{
    struct free_memory least = {0};
    struct nvml *nvml;
    struct error ignored;
    if (nvml_open(&nvml, &ignored))
        return least;
    uint32_t count = nvml_count(nvml);
    for (uint32_t i = 0; count >= cards && i < cards; i++) {
        struct nvml_device *device;
        struct free_memory one = {0};
        if (nvml_device_at(nvml, i, &device, &ignored) == STATUS_OK)
            card_read(nvml, device, &one);
        if (!one.known) {
            least = one;
            break;
        }
        take_least(&least, one.bytes, one.source);
    }
    nvml_close(nvml);
    return least;
}

uint32_t free_memory_card_count(void)
{
    struct nvml *nvml;
    struct error ignored;
    if (nvml_open(&nvml, &ignored))
        return 0;
    uint32_t count = nvml_count(nvml);
    nvml_close(nvml);
    return count;
}
