#include "base/work_line.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_now_ns() - start_ns) / 1e9;
}

void work_line_start(struct work_line *line, const char *doing)
{
    *line = (struct work_line){
        .doing = doing, .start_ns = clock_now_ns(), .terminal = isatty(STDERR_FILENO)};
}

void work_line_show(struct work_line *line, uint64_t done_bytes, uint64_t total_bytes)
{
    double seconds = seconds_since(line->start_ns), done = (double)done_bytes;
    if (!line->terminal || seconds <= 0.5 || done_bytes <= line->resumed_bytes ||
        seconds_since(line->shown_ns) <= 0.1)
        return;
    double rate = (done - (double)line->resumed_bytes) / seconds;
    line->shown_ns = clock_now_ns();
    fprintf(stderr, "\r\033[K%s: %3.0f %%  %.2f of %.2f GB  %.0f MB/s  %.0f s left", line->doing,
            100 * done / (double)total_bytes, done / 1e9, (double)total_bytes / 1e9, rate / 1e6,
            ((double)total_bytes - done) / rate);
    fflush(stderr);
    line->shown = true;
}

void work_line_clear(const struct work_line *line)
{
    if (line->shown)
        fputs("\r\033[K", stderr);
}
