#include "bench/progress.h"

#include <sys/ioctl.h>
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

/* What processes still take: the mean time of those so far, without the gate that came before. */
static double seconds_left(const struct progress *progress, int64_t now_ns)
{
    double blocks = (double)(now_ns - progress->blocks_ns) * 1e-9;
    return blocks / (double)progress->done * (double)(progress->total - progress->done);
}

/* "elapsed 0:12, about 0:48 left". */
static void times_text(const struct progress *progress, char *text, size_t size)
{
    int64_t now_ns = clock_now_ns();
    double elapsed = (double)(now_ns - progress->start_ns) * 1e-9;
    char past[32], left[32];
    time_text(past, sizeof past, elapsed);
    if (progress->done == 0) {
        snprintf(text, size, "elapsed %s", past);
        return;
    }
    time_text(left, sizeof left, seconds_left(progress, now_ns));
    snprintf(text, size, "elapsed %s, about %s left", past, left);
}

void progress_block(struct progress *progress, size_t block)
{
    progress->block = block;
    if (!progress->blocks_ns)
        progress->blocks_ns = clock_now_ns();
}

/* Columns of the terminal: a line that is repainted may not wrap. */
static int columns(FILE *stream)
{
    struct winsize size;
    return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

void progress_phase(const struct progress *progress, const char *variant, const char *phase)
{
    char times[96], line[256];
    if (!progress->terminal)
        return;
    times_text(progress, times, sizeof times);
    if (progress->block)
        snprintf(line, sizeof line, "[%zu/%zu] %s: %s (%s)", progress->block, progress->blocks,
                 variant, phase, times);
    else
        snprintf(line, sizeof line, "%s: %s (%s)", variant, phase, times);
    fprintf(progress->stream, "\r\033[K%.*s", columns(progress->stream), line);
    fflush(progress->stream);
}

/* An engine's message may hold anything; the terminal gets letters. */
static void put_clean(const char *text, FILE *stream)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || *text == 127 ? ' ' : *text, stream);
}

void progress_process(struct progress *progress, const char *variant, const char *outcome)
{
    char times[96];
    progress->done++;
    if (!progress->stream)
        return;
    times_text(progress, times, sizeof times);
    fprintf(progress->stream, "%sblock %zu/%zu  %-14s ", progress->terminal ? "\r\033[K" : "",
            progress->block, progress->blocks, variant);
    put_clean(outcome, progress->stream);
    fprintf(progress->stream, "  (%s)\n", times);
    fflush(progress->stream);
}

void progress_note(const struct progress *progress, const char *subject, const char *name,
                   const char *text)
{
    if (!progress->stream)
        return;
    fprintf(progress->stream, "%s%s  %-14s ", progress->terminal ? "\r\033[K" : "", subject, name);
    put_clean(text, progress->stream);
    fputc('\n', progress->stream);
    fflush(progress->stream);
}

void progress_end(const struct progress *progress)
{
    if (progress->terminal) {
        fprintf(progress->stream, "\r\033[K");
        fflush(progress->stream);
    }
}
