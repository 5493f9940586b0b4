/* The check of --threads: a worker computes with as many as it is told. */
#include <string.h>

#include "engine/conformance_checks.h"
#include "engine/effort.h"

enum { ROUNDS = 4 };

/* Weights of a model whose products are worth a second thread. */
static const uint64_t worth_two_bytes = 64000000;
/* Above the number that was asked for: what prepares a token's work beside those who do it. */
static const double slack = 0.5;
/* What a worker does besides may take as long as the computing, when that takes less. */
static const int64_t least_ns = 50000000;

static enum status generate(struct conformance *test, struct error *err)
{
    int32_t ids[CONFORMANCE_TOKENS];
    int64_t stamps_ns[CONFORMANCE_TOKENS];
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps_ns};
    return worker_generate(test->worker, test->prompt, CONFORMANCE_PROMPT, CONFORMANCE_TOKENS,
                           &generated, err);
}

/* What a worker of its own does, for an engine may take the number once in a process. */
static enum status measure(struct conformance *test, uint32_t threads, struct effort_report *report,
                           struct error *err)
{
    struct effort effort;
    struct error ignored;
    worker_stop(test->worker);
    test->worker = NULL;
    test->threads = threads;
    enum status status = conformance_start(test, err);
    if (!status)
        status = conformance_load(test, err);
    if (!status)
        status = generate(test, err); /* which compiles */
    if (!status)
        status = effort_begin(&effort, worker_pid(test->worker), err);
    if (status)
        return status;
    for (int round = 0; round < ROUNDS && !status; round++)
        status = generate(test, err);
    enum status ended = effort_end(&effort, report, status ? &ignored : err);
    return status ? status : ended;
}

static enum status judge(const struct conformance *test, const struct effort_report *report,
                         bool *counted, struct error *err)
{
    const char *name = test->engine->name;
    uint32_t asked = test->threads, told = test->loaded.threads;
    bool worth_two = test->loaded.weight_bytes >= worth_two_bytes;
    if (told > asked)
        return error_set(err, STATUS_PROTOCOL,
                         "%s: it says that it has %u threads, and was told %u", name, told, asked);
    *counted = report->busiest_ns >= least_ns;
    if (!*counted)
        return STATUS_OK;
    if (report->at_once > asked + slack)
        return error_set(err, STATUS_PROTOCOL,
                         "%s: %.1f threads computed at a time, and it was told %u", name,
                         report->at_once, asked);
    if (told > 1 && worth_two && report->threads < 2)
        return error_set(err, STATUS_PROTOCOL,
                         "%s: one thread computed, and it says that it has %u", name, told);
    return STATUS_OK;
}

enum status conformance_heeds_threads(struct conformance *test, bool *counted, struct error *err)
{
    const struct conformance_options *options = test->options;
    struct effort_report report;
    enum status status = STATUS_OK;
    *counted = true;
    if (options->large_model)
        test->model = options->large_model(options->context, err);
    if (!test->model)
        status = err->status;
    for (uint32_t threads = 1; threads <= 2 && *counted && !status; threads++) {
        status = measure(test, threads, &report, err);
        if (!status)
            status = judge(test, &report, counted, err);
    }
    if (!*counted) {
        error_set(err, STATUS_UNSUPPORTED, "%d tokens take too little computing to count threads",
                  ROUNDS * CONFORMANCE_TOKENS);
        error_remedy(err, "A larger --model takes more.");
    }
    test->model = options->model;
    test->threads = 0;
    return status;
}

enum status conformance_counts_threads(const struct conformance *test, struct error *reason)
{
    if (strcmp(test->options->device, "cpu") != 0) {
        error_set(reason, STATUS_UNSUPPORTED, "what computes on %s are no threads",
                  test->options->device);
        return error_remedy(reason, "They are counted with --device cpu.");
    }
    return effort_check(reason);
}
