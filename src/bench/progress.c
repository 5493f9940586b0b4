#include "bench/progress.h"

#include <unistd.h>

#include "base/clock.h"

static void time_text(char *text, size_t size, double seconds)
{
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, size, "%ld:%02ld", whole / 60, whole % 60);
}

void progress_start(struct progress *progress, FILE *stream, size_t total, size_t blocks)
{
    *progress = (struct progress){.stream = stream,
                                  .terminal = stream && isatty(fileno(stream)),
                                  .start_ns = clock_now_ns(),
                                  .total = total,
                                  .blocks = blocks};
}

/* "elapsed 0:12, about 0:48 left": from the mean time of the processes so far. */
static void times_text(const struct progress *progress, char *text, size_t size)
{
    double elapsed = (double)(clock_now_ns() - progress->start_ns) * 1e-9;
    char past[32], left[32];
    time_text(past, sizeof past, elapsed);
    if (progress->done == 0) {
        snprintf(text, size, "elapsed %s", past);
        return;
    }
    time_text(left, sizeof left,
              elapsed / (double)progress->done * (double)(progress->total - progress->done));
    snprintf(text, size, "elapsed %s, about %s left", past, left);
}

void progress_phase(const struct progress *progress, const char *variant, const char *phase)
{
    char times[96];
    if (!progress->terminal)
        return;
    times_text(progress, times, sizeof times);
    fprintf(progress->stream, "\r\033[K[%zu/%zu] %s: %s (%s)", progress->block, progress->blocks,
            variant, phase, times);
    fflush(progress->stream);
}

void progress_process(struct progress *progress, const char *variant, const char *outcome)
{
    char times[96];
    progress->done++;
    if (!progress->stream)
        return;
    times_text(progress, times, sizeof times);
    fprintf(progress->stream, "%sblock %zu/%zu  %-14s %s  (%s)\n",
            progress->terminal ? "\r\033[K" : "", progress->block, progress->blocks, variant,
            outcome, times);
    fflush(progress->stream);
}

void progress_end(const struct progress *progress)
{
    if (progress->terminal) {
        fprintf(progress->stream, "\r\033[K");
        fflush(progress->stream);
    }
}
