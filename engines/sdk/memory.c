#include <stdio.h>
#include <string.h>

#include "sdk.h"

/* The kilobytes behind "KEY:" in one of /proc's tables, as bytes; -1 when they are not there. */
static int64_t proc_bytes(const char *path, const char *key)
{
    char line[256];
    int64_t bytes = -1;
    FILE *stream = fopen(path, "re");
    while (stream && bytes < 0 && fgets(line, sizeof line, stream)) {
        long long kilobytes;
        size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == ':' &&
            sscanf(line + length + 1, "%lld", &kilobytes) == 1)
            bytes = kilobytes * 1024;
    }
    if (stream)
        fclose(stream);
    return bytes;
}

void memory_of_process(struct prony_memory *memory)
{
    *memory = (struct prony_memory){.device_bytes = -1, .device_peak_bytes = -1};
    memory->host_bytes = proc_bytes("/proc/self/smaps_rollup", "Pss");
    memory->host_peak_bytes = proc_bytes("/proc/self/status", "VmHWM");
    memory->method = "PSS from /proc/self/smaps_rollup, peak VmHWM";
    if (memory->host_peak_bytes < memory->host_bytes)
        memory->host_peak_bytes = memory->host_bytes;
}
