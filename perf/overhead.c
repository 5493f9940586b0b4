/* What Prony adds to a token: the null engine that does not wait, through the whole protocol.
 *
 * Prints the time from one stamp to the next (call of on_token, clock, store) against the bound of
 * 2 us, what a token of exactly 1 ms is measured as, and how often the host woke up meanwhile. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/worker.h"

enum { RUNS = 7, INSTANT_TOKENS = 100000, PACED_TOKENS = 500 };

struct result {
    double token_us; /* median of the runs' means */
    long wakeups;    /* of the host, in the last run */
};

static long wakeups(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static int ascending(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

static enum status measure(struct worker *worker, const char *variant, size_t tokens,
                           struct result *result, struct error *err)
{
    struct worker_loaded loaded;
    struct worker_load load = {
        .model = "/proc/self/exe", .variant = variant, .context = INSTANT_TOKENS + 1};
    double means_us[RUNS] = {0};
    int32_t *ids = malloc(tokens * sizeof *ids);
    int64_t *stamps_ns = malloc(tokens * sizeof *stamps_ns);
    if (!ids || !stamps_ns) {
        free(ids);
        free(stamps_ns);
        return error_no_memory(err, tokens * sizeof *stamps_ns);
    }
    enum status status = worker_load(worker, &load, &loaded, err);
    for (int run = 0; run < RUNS && !status; run++) {
        struct worker_generated generated = {.ids = ids, .stamps_ns = stamps_ns};
        long before = wakeups();
        status = worker_generate(worker, &(int32_t){1}, 1, tokens, &generated, err);
        if (status)
            break;
        means_us[run] = (double)(stamps_ns[tokens - 1] - stamps_ns[0]) / (double)(tokens - 1) / 1e3;
        result->wakeups = wakeups() - before;
    }
    qsort(means_us, RUNS, sizeof *means_us, ascending);
    result->token_us = means_us[RUNS / 2];
    free(ids);
    free(stamps_ns);
    return status;
}

static enum status run(struct error *err)
{
    struct engine_catalogue catalogue;
    struct worker_hello hello;
    struct worker *worker = NULL;
    struct result instant = {0}, paced = {0};
    enum status status = engine_catalogue_open(&catalogue, err);
    if (status)
        return status;
    const struct engine *engine = engine_find(&catalogue, "null");
    if (!engine)
        status = error_set(err, STATUS_NOT_FOUND, "the null engine is not there");
    if (!status)
        status =
            worker_start(&worker, engine, &(struct worker_options){.cancel_fd = -1}, &hello, err);
    if (!status)
        status = measure(worker, "null-instant", INSTANT_TOKENS, &instant, err);
    if (!status)
        status = measure(worker, "null", PACED_TOKENS, &paced, err);
    if (!status) {
        printf("added to a token      %8.3f us   %.0f %% of the bound of 2 us\n", instant.token_us,
               instant.token_us / 2 * 100);
        printf("a token of 1000 us is %8.3f us\n", paced.token_us);
        printf("the host woke up      %8ld times in %d tokens\n", paced.wakeups, PACED_TOKENS);
    }
    worker_stop(worker);
    engine_catalogue_close(&catalogue);
    return status;
}

int main(void)
{
    char path[PATH_MAX], engines[PATH_MAX + 16];
    struct error err;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0)
        return 1;
    path[length] = '\0';
    *strrchr(path, '/') = '\0';
    snprintf(engines, sizeof engines, "%s/../engines", path);
    setenv("PRONY_ENGINE_PATH", engines, 0);
    if (run(&err)) {
        error_print(&err, stderr);
        return 1;
    }
    return 0;
}
