#include "cli/model_progress.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

/* A signal handler can reach nothing but a global. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_now_ns() - start_ns) / 1e9;
}

static bool report(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    struct model_progress *progress = context;
    double seconds = seconds_since(progress->start_ns), done = (double)done_bytes;
    if (progress->terminal && seconds > 0.5 && done_bytes > progress->resumed_bytes &&
        seconds_since(progress->shown_ns) > 0.1) {
        double rate = (done - (double)progress->resumed_bytes) / seconds;
        progress->shown_ns = clock_now_ns();
        fprintf(stderr, "\r\033[K%s: %3.0f %%  %.2f of %.2f GB  %.0f MB/s  %.0f s left",
                progress->doing, 100 * done / (double)total_bytes, done / 1e9,
                (double)total_bytes / 1e9, rate / 1e6, ((double)total_bytes - done) / rate);
        fflush(stderr);
        progress->shown = true;
    }
    return !stop_asked;
}

struct weight_progress model_progress_start(struct model_progress *progress, const char *doing)
{
    struct sigaction action = {.sa_handler = ask_stop, .sa_flags = SA_RESTART};
    stop_asked = 0;
    *progress = (struct model_progress){
        .doing = doing, .start_ns = clock_now_ns(), .terminal = isatty(STDERR_FILENO)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return (struct weight_progress){report, progress};
}

void model_progress_clear(const struct model_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
}

void model_progress_end(struct model_progress *progress)
{
    model_progress_clear(progress);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

void model_progress_summary(const struct model_progress *progress, const char *path, uint64_t bytes)
{
    double seconds = seconds_since(progress->start_ns);
    printf("%s: %.1f MB in %.1f s (%.0f MB/s)\n", path, (double)bytes / 1e6, seconds,
           (double)bytes / 1e6 / seconds);
}
