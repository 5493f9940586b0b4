#include "fit/loading.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descendants.h"

void loading_start(struct loading *loading, uint64_t expected_bytes)
{
    *loading = (struct loading){.expected_bytes = expected_bytes,
                                .start_ns = clock_now_ns(),
                                .terminal = isatty(STDERR_FILENO)};
}

/* statm costs microseconds, as the exact figures do not. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *stream = fopen(path, "re");
    if (stream && fscanf(stream, "%*u %llu", &pages) != 1)
        pages = 0;
    if (stream)
        fclose(stream);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Parts of a model may be in processes that the worker has started. */
static uint64_t held_bytes(pid_t worker)
{
    pid_t list[DESCENDANTS_MAX];
    uint64_t bytes = 0;
    size_t count = descendants_list(worker, list, DESCENDANTS_MAX);
    for (size_t i = 0; i < count; i++)
        bytes += resident_bytes(list[i]);
    return bytes;
}

void loading_report(void *context, pid_t worker)
{
    struct loading *loading = context;
    double seconds = (double)(clock_now_ns() - loading->start_ns) / 1e9;
    if (!loading->terminal || seconds < 0.5)
        return;
    double bytes = (double)held_bytes(worker);
    fprintf(stderr, "\r\033[KLoading: %.2f", bytes / 1e9);
    if (loading->expected_bytes)
        fprintf(stderr, " of %.2f", (double)loading->expected_bytes / 1e9);
    fprintf(stderr, " GB in memory, %.2f GB/s", bytes / 1e9 / seconds);
    fflush(stderr);
    loading->shown = true;
}

void loading_end(struct loading *loading)
{
    if (loading->shown)
        fputs("\r\033[K", stderr);
    loading->shown = false;
}
