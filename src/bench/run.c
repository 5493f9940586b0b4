#include "bench/run.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bench/metrics.h"
#include "bench/process.h"
#include "bench/schedule.h"
#include "machine/bandwidth.h"
#include "machine/gpu.h"

enum { PROBE_MS = 300 };

struct execution {
    const struct plan *plan;
    const struct run_options *options;
    struct progress progress;
    struct arena arena;
    bool *done;         /* [blocks, variants] */
    uint32_t *failures; /* [variants] */
    bool *described;    /* [variants]: its versions are stored */
    uint32_t *order;    /* [variants] of the block at hand */
};

void run_variants(const struct plan *plan, struct record_variant *variants)
{
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct engine_variant *variant = plan->variants[i].variant;
        variants[i] = (struct record_variant){.name = plan->variants[i].name,
                                              .title = plan->variants[i].title,
                                              .engine = plan->variants[i].engine->name,
                                              .precision = variant->precision,
                                              .about = variant->about,
                                              .engine_version = "",
                                              .stands_on = "",
                                              .detail = "",
                                              .unavailable = plan->variants[i].unavailable};
    }
}

static bool *done_at(struct execution *execution, size_t block, size_t variant)
{
    return &execution->done[block * execution->plan->variant_count + variant];
}

/* Marks what an earlier session of this run measured. */
static enum status take_up(struct execution *execution, struct error *err)
{
    const struct plan *plan = execution->plan;
    struct record_run record;
    enum status status = store_run_load(execution->options->store, execution->options->run, &record,
                                        &execution->arena, err);
    for (size_t i = 0; !status && i < record.process_count; i++) {
        const struct record_process *process = &record.processes[i];
        if (process->block >= plan->blocks || process->variant >= plan->variant_count)
            continue;
        *done_at(execution, process->block, process->variant) = true;
        execution->failures[process->variant] += process->failure != NULL;
        execution->described[process->variant] |= process->failure == NULL;
    }
    return status;
}

static bool is_due(struct execution *execution, size_t block, size_t variant)
{
    return !execution->plan->variants[variant].unavailable &&
           execution->failures[variant] < RUN_FAILURES && !*done_at(execution, block, variant);
}

static size_t count_due(struct execution *execution)
{
    size_t count = 0;
    for (size_t block = 0; block < execution->plan->blocks; block++)
        for (size_t i = 0; i < execution->plan->variant_count; i++)
            count += is_due(execution, block, i);
    return count;
}

static enum status cancelled(const struct execution *execution, struct error *err)
{
    struct pollfd fd = {.fd = execution->options->cancel_fd, .events = POLLIN};
    if (fd.fd >= 0 && poll(&fd, 1, 0) > 0)
        return error_set(err, STATUS_INTERRUPTED, "interrupted");
    return STATUS_OK;
}

static void outcome_tell(struct execution *execution, const struct record_process *record)
{
    char outcome[256];
    double values[METRIC_COUNT];
    process_metrics(record, values);
    if (record->failure)
        snprintf(outcome, sizeof outcome, "FAILED: %.200s", record->failure);
    else
        snprintf(outcome, sizeof outcome, "%.2f ms/token", values[METRIC_TPOT] * 1e3);
    progress_process(&execution->progress, execution->plan->variants[record->variant].name,
                     outcome);
}

static enum status measure(struct execution *execution, struct record_process *record,
                           struct error *err)
{
    const struct run_options *options = execution->options;
    struct process_task task = {.plan = execution->plan,
                                .variant = record->variant,
                                .cancel_fd = options->cancel_fd,
                                .progress = &execution->progress};
    struct process_versions versions;
    struct arena arena = {0};
    enum status status = process_measure(&task, record, &versions, &arena, err);
    if (!status)
        status = store_process_add(options->store, options->run, record, err);
    if (!status && !record->failure && !execution->described[record->variant]) {
        status = store_variant_versions(options->store, options->run, record->variant,
                                        versions.engine_version, versions.stands_on,
                                        versions.detail, err);
        execution->described[record->variant] = true;
    }
    if (!status) {
        execution->failures[record->variant] += record->failure != NULL;
        outcome_tell(execution, record);
    }
    arena_free(&arena);
    return status;
}

/* What this block's share of the limit is held against; 0 where the probe could not read. */
static double probe(const struct execution *execution)
{
    struct bandwidth bandwidth;
    struct error ignored;
    const struct plan *plan = execution->plan;
    progress_phase(&execution->progress, "memory", "reading its bandwidth");
    enum status status = *plan->gpu.name
                             ? gpu_bandwidth(plan->device, PROBE_MS, &bandwidth, &ignored)
                             : bandwidth_probe(&bandwidth, plan->threads, PROBE_MS, &ignored);
    return status ? 0 : bandwidth.bytes_per_second;
}

static enum status block_execute(struct execution *execution, uint32_t block, struct error *err)
{
    size_t count = execution->plan->variant_count, due = 0;
    for (size_t i = 0; i < count; i++)
        due += is_due(execution, block, i);
    if (due == 0)
        return STATUS_OK;
    execution->progress.block = (size_t)block + 1;
    schedule_order(count, block, execution->order);
    double bandwidth = probe(execution);
    for (size_t place = 0; place < count; place++) {
        struct record_process record = {.block = block,
                                        .position = (uint32_t)place,
                                        .variant = execution->order[place],
                                        .bandwidth = bandwidth};
        if (!is_due(execution, block, record.variant))
            continue;
        enum status status = cancelled(execution, err);
        if (!status)
            status = measure(execution, &record, err);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status execution_init(struct execution *execution, struct error *err)
{
    size_t variants = execution->plan->variant_count;
    struct arena *arena = &execution->arena;
    execution->done = arena_array(arena, variants, execution->plan->blocks * sizeof(bool));
    execution->failures = arena_array(arena, variants, sizeof *execution->failures);
    execution->described = arena_array(arena, variants, sizeof *execution->described);
    execution->order = arena_array(arena, variants, sizeof *execution->order);
    if (!execution->done || !execution->failures || !execution->described || !execution->order)
        return error_no_memory(err, variants * execution->plan->blocks);
    enum status status = take_up(execution, err);
    if (!status)
        status =
            store_run_state(execution->options->store, execution->options->run, "running", err);
    return status;
}

enum status run_execute(const struct plan *plan, const struct run_options *options,
                        struct error *err)
{
    struct execution execution = {.plan = plan, .options = options};
    struct error ignored;
    enum status status = execution_init(&execution, err);
    if (!status)
        progress_start(&execution.progress, options->progress, count_due(&execution), plan->blocks);
    for (uint32_t block = 0; block < plan->blocks && !status; block++)
        status = block_execute(&execution, block, err);
    progress_end(&execution.progress);
    if (status)
        store_run_state(options->store, options->run, "interrupted", &ignored);
    else
        status = store_run_state(options->store, options->run, "complete", err);
    arena_free(&execution.arena);
    return status;
}
