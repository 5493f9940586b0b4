/* Who uses a card. */
#include <stdlib.h>

#include "machine/nvml_library.h"

enum { MOST_USES = 1 << 16 }; /* more than any driver keeps */

void nvml_processes_read(const struct nvml *nvml, struct nvml_device *device,
                         struct nvml_processes *processes)
{
    static const unsigned long long unknown = ~0ULL;
    struct process_info list[NVML_PROCESSES] = {0};
    unsigned count = NVML_PROCESSES;
    processes->count = 0;
    int result = nvml->processes ? nvml->processes(device, &count, list) : NVML_NO_FUNCTION;
    processes->why = result == NVML_OK      ? NULL
                     : result == NVML_SMALL ? "too many processes use the card"
                                            : nvml_reason(result);
    for (unsigned i = 0; i < count && i < NVML_PROCESSES && !processes->why; i++) {
        processes->list[i].pid = (pid_t)list[i].pid;
        processes->list[i].bytes = list[i].bytes == unknown ? -1 : (int64_t)list[i].bytes;
        processes->count = i + 1;
    }
}

/* The samples that the driver keeps; the caller frees them. NULL and a reason where there are none
 * to be had, NULL alone where there are none. */
static struct process_use *uses_read(const struct nvml *nvml, struct nvml_device *device,
                                     int64_t since_us, unsigned *count, const char **why)
{
    struct process_use *uses = NULL;
    *count = 0;
    int result = nvml->uses ? nvml->uses(device, NULL, count, (unsigned long long)since_us)
                            : NVML_NO_FUNCTION;
    bool some = result == NVML_SMALL && *count > 0 && *count <= MOST_USES;
    if (some && (uses = calloc(*count, sizeof *uses)))
        result = nvml->uses(device, uses, count, (unsigned long long)since_us);
    *why = result == NVML_OK || result == NVML_NOT_FOUND ? NULL : nvml_reason(result);
    if (!uses || result != NVML_OK)
        *count = 0;
    return uses;
}

static bool is_listed(const struct nvml_processes *users, unsigned pid)
{
    for (size_t i = 0; i < users->count; i++)
        if (users->list[i].pid == (pid_t)pid)
            return true;
    return false;
}

void nvml_users_read(const struct nvml *nvml, struct nvml_device *device, int64_t since_us,
                     struct nvml_processes *users)
{
    unsigned count;
    struct process_use *uses = uses_read(nvml, device, since_us, &count, &users->why);
    users->count = 0;
    for (unsigned i = 0; i < count && users->count < NVML_PROCESSES; i++) {
        /* Drivers hand over older samples as well, and empty ones. */
        bool used = uses[i].sm_percent > 0 || uses[i].memory_percent > 0;
        if (!used || (int64_t)uses[i].stamp_us <= since_us || is_listed(users, uses[i].pid))
            continue;
        users->list[users->count].pid = (pid_t)uses[i].pid;
        users->list[users->count++].bytes = -1;
    }
    free(uses);
}
