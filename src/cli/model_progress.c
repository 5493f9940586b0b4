#include "cli/model_progress.h"

#include <signal.h>
#include <stdio.h>

#include "base/clock.h"

/* A signal handler can reach nothing but a global. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static bool report(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct model_progress *progress = context;
    work_line_show(&progress->line, done_bytes, total_bytes);
    return !stop_asked;
}

struct weight_progress model_progress_start(struct model_progress *progress, const char *doing)
{
    struct sigaction action = {.sa_handler = ask_stop, .sa_flags = SA_RESTART};
    stop_asked = 0;
    work_line_start(&progress->line, doing);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return (struct weight_progress){report, progress};
}

void model_progress_end(struct model_progress *progress)
{
    work_line_clear(&progress->line);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void model_progress_summary(const struct model_progress *progress, const char *path, uint64_t bytes)
{
    double seconds = (double)(clock_now_ns() - progress->line.start_ns) / 1e9;
    printf("%s: %.1f MB in %.1f s (%.0f MB/s)\n", path, (double)bytes / 1e6, seconds,
           (double)bytes / 1e6 / seconds);
}
