#include "fit/loading.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

void loading_start(struct loading *loading, uint64_t expected_bytes)
{
    *loading = (struct loading){.expected_bytes = expected_bytes,
                                .start_ns = clock_now_ns(),
                                .terminal = isatty(STDERR_FILENO)};
}

void loading_report(void *context, uint64_t resident_bytes)
{
    struct loading *loading = context;
    double seconds = (double)(clock_now_ns() - loading->start_ns) / 1e9;
    double bytes = (double)resident_bytes;
    if (!loading->terminal || seconds < 0.5)
        return;
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
