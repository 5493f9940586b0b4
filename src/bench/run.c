#include "bench/run.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/coldness.h"
#include "bench/estimate.h"
#include "bench/gating.h"
#include "bench/limits.h"
#include "bench/metrics.h"
#include "bench/process.h"
#include "bench/quantising.h"
#include "bench/readings.h"
#include "bench/schedule.h"
#include "machine/text.h"

enum { IDLE_MS = 500 };

/* One variant's turn at one point in one block. */
struct turn {
    bool done, failed;
    double told; /* seconds that progress tells; 0 when not measured */
};

struct execution {
    const struct plan *plan;
    const struct run_options *options;
    struct progress progress;
    struct arena arena;
    struct turn *turns; /* [blocks, points, variants] of the block's last attempt */
    struct {
        uint32_t attempt;
        bool disturbed;          /* one of the attempt's processes was */
        struct energy_idle idle; /* of the attempt, once it was read */
    } * blocks;                  /* [blocks] */
    struct clocks *clocks;       /* [variants]: the fastest that its processes had */
    bool *described;             /* [variants]: its versions are stored */
    uint32_t *order;             /* [variants] of the block at hand */
    struct coldness coldness;
    struct limits limits;  /* of the block at hand */
    struct energy *energy; /* NULL: the machine has no counters that can be read */
};

void run_variants(const struct plan *plan, struct record_variant *variants)
{
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct engine_variant *variant = plan->variants[i].variant;
        variants[i] = (struct record_variant){.name = plan->variants[i].name,
                                              .title = plan->variants[i].title,
                                              .engine = plan->variants[i].engine->name,
                                              .precision = plan_precision(&plan->variants[i]),
                                              .about = variant->about,
                                              .engine_version = "",
                                              .stands_on = "",
                                              .detail = "",
                                              .unavailable = plan->variants[i].unavailable};
    }
}

static struct turn *turns_of(struct execution *execution, size_t block, size_t point)
{
    const struct plan *plan = execution->plan;
    return &execution->turns[(block * plan->point_count + point) * plan->variant_count];
}

static void attempt_begin(struct execution *execution, size_t block, uint32_t attempt)
{
    const struct plan *plan = execution->plan;
    memset(turns_of(execution, block, 0), 0,
           plan->point_count * plan->variant_count * sizeof *execution->turns);
    execution->blocks[block].attempt = attempt;
    execution->blocks[block].disturbed = false;
    execution->blocks[block].idle = (struct energy_idle){NAN, NAN};
}

/* What progress tells of a process: of one that only starts, its start. */
static enum metric outcome_metric(const struct execution *execution,
                                  const struct record_process *process)
{
    return execution->plan->points[process->point].start_only ? METRIC_START_TO_FIRST_TOKEN
                                                              : METRIC_TPOT;
}

/* What a process that has ended means for the rest of the run. Returns what disturbed it. */
static const char *process_note(struct execution *execution, const struct record_process *process,
                                struct arena *arena)
{
    struct clocks *fastest = &execution->clocks[process->variant];
    const char *disturbance = disturbance_of(process, fastest, arena);
    clocks_note(fastest, process);
    if (process->attempt > execution->blocks[process->block].attempt)
        attempt_begin(execution, process->block, process->attempt);
    double values[METRIC_COUNT];
    process_metrics(process, values);
    double told = values[outcome_metric(execution, process)];
    turns_of(execution, process->block, process->point)[process->variant] =
        (struct turn){.done = true,
                      .failed = process->failure != NULL,
                      .told = process->failure || isnan(told) ? 0 : told};
    if (disturbance)
        execution->blocks[process->block].disturbed = true;
    return disturbance;
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
        if (process->block >= plan->blocks || process->variant >= plan->variant_count ||
            process->point >= plan->point_count)
            continue;
        process_note(execution, process, &execution->arena);
        if (isfinite(reading_of(process, READING_IDLE_W)))
            execution->blocks[process->block].idle =
                (struct energy_idle){.watts = reading_of(process, READING_IDLE_W),
                                     .step_s = reading_of(process, READING_ENERGY_STEP)};
        execution->described[process->variant] |= process->failure == NULL;
    }
    return status;
}

static bool is_due(struct execution *execution, size_t block, size_t point, size_t variant)
{
    size_t failures = 0;
    for (size_t i = 0; i < execution->plan->blocks; i++)
        failures += turns_of(execution, i, point)[variant].failed;
    return !execution->plan->variants[variant].unavailable && failures < RUN_FAILURES &&
           !turns_of(execution, block, point)[variant].done;
}

static size_t block_due(struct execution *execution, size_t block)
{
    size_t count = 0;
    for (size_t point = 0; point < execution->plan->point_count; point++)
        for (size_t i = 0; i < execution->plan->variant_count; i++)
            count += is_due(execution, block, point, i);
    return count;
}

static size_t count_due(struct execution *execution)
{
    size_t count = 0;
    for (size_t block = 0; block < execution->plan->blocks; block++)
        count += block_due(execution, block);
    return count;
}

static enum status cancelled(const struct execution *execution, struct error *err)
{
    struct pollfd fd = {.fd = execution->options->cancel_fd, .events = POLLIN};
    if (fd.fd >= 0 && poll(&fd, 1, 0) > 0)
        return error_set(err, STATUS_INTERRUPTED, "interrupted");
    return STATUS_OK;
}

/* What a variant's blocks come to by now: ", so far 14.30 (14.10–14.51)"; "" of one block. */
static void so_far_text(struct execution *execution, const struct record_process *record,
                        char *text, size_t size, struct arena *arena)
{
    size_t blocks = 0;
    double *values = arena_array(arena, execution->plan->blocks, sizeof *values);
    *text = '\0';
    for (size_t block = 0; values && block < execution->plan->blocks; block++) {
        double told = turns_of(execution, block, record->point)[record->variant].told;
        if (told > 0)
            values[blocks++] = told * 1e3;
    }
    if (blocks < 2)
        return;
    struct estimate estimate = estimate_make(values, blocks, true);
    snprintf(text, size, ", so far %.2f (%.2f–%.2f)", estimate.value, estimate.low, estimate.high);
}

static void outcome_tell(struct execution *execution, const struct record_process *record,
                         const char *disturbance, struct arena *arena)
{
    char outcome[512], so_far[96];
    double values[METRIC_COUNT];
    bool start_only = execution->plan->points[record->point].start_only;
    process_metrics(record, values);
    so_far_text(execution, record, so_far, sizeof so_far, arena);
    if (record->failure)
        snprintf(outcome, sizeof outcome, "FAILED: %.200s", record->failure);
    else
        snprintf(outcome, sizeof outcome, "%.2f ms%s%s%s%.200s",
                 values[outcome_metric(execution, record)] * 1e3,
                 start_only ? " to the first token" : "/token", so_far,
                 disturbance ? ", disturbed: " : "", disturbance ? disturbance : "");
    progress_process(&execution->progress, execution->plan->variants[record->variant].name,
                     outcome);
}

static enum status process_keep(struct execution *execution, const struct record_process *record,
                                const struct process_versions *said, struct error *err)
{
    const struct record_versions versions = {said->engine_version, said->stands_on, said->detail};
    bool *described = &execution->described[record->variant];
    bool describes = !record->failure && !*described;
    *described |= describes;
    return store_process_add(execution->options->store, execution->options->run, record,
                             describes ? &versions : NULL, err);
}

static enum status measure(struct execution *execution, struct record_process *record,
                           struct error *err)
{
    const struct run_options *options = execution->options;
    struct process_task task = {.plan = execution->plan,
                                .variant = record->variant,
                                .energy = execution->energy,
                                .idle = execution->blocks[record->block].idle,
                                .point = &execution->plan->points[record->point],
                                .cancel_fd = options->cancel_fd,
                                .progress = &execution->progress};
    struct process_versions versions;
    struct arena arena = {0};
    enum status status = coldness_prepare(&execution->coldness, &task, &arena, err);
    if (!status)
        status = process_measure(&task, record, &versions, &arena, err);
    coldness_tidy(&execution->coldness);
    if (!status)
        status = process_keep(execution, record, &versions, err);
    if (!status)
        outcome_tell(execution, record, process_note(execution, record, &arena), &arena);
    arena_free(&arena);
    return status;
}

/* What the machine draws while nothing of ours runs: once for all processes of an attempt. Of one
 * that was broken off, what was read then counts: a card that has rested since draws less. */
static void idle_read(struct execution *execution, uint32_t block)
{
    struct energy_idle *idle = &execution->blocks[block].idle;
    if (!execution->energy || isfinite(idle->watts))
        return;
    progress_phase(&execution->progress, "energy", "reading the idle power");
    *idle = energy_idle(execution->energy, IDLE_MS);
}

static enum status point_execute(struct execution *execution, uint32_t block, uint32_t point,
                                 struct error *err)
{
    for (size_t place = 0; place < execution->plan->variant_count; place++) {
        struct record_process record = {.block = block,
                                        .attempt = execution->blocks[block].attempt,
                                        .point = point,
                                        .position = (uint32_t)place,
                                        .variant = execution->order[place]};
        record.bandwidth = limits_of(&execution->limits, execution->plan, record.variant);
        if (!is_due(execution, block, point, record.variant))
            continue;
        enum status status = cancelled(execution, err);
        if (!status)
            status = measure(execution, &record, err);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status attempt_execute(struct execution *execution, uint32_t block, struct error *err)
{
    const struct plan *plan = execution->plan;
    enum status status = STATUS_OK;
    if (block_due(execution, block) == 0)
        return STATUS_OK;
    progress_block(&execution->progress, (size_t)block + 1);
    schedule_order(plan->variant_count, block, execution->order);
    idle_read(execution, block);
    progress_phase(&execution->progress, "memory", "reading its bandwidth");
    limits_read(&execution->limits, plan);
    for (uint32_t point = 0; point < plan->point_count && !status; point++)
        status = point_execute(execution, block, point, err);
    return status;
}

/* A machine that is never quiet would triple every run: as many blocks are done again as the plan
 * has, at most. */
static bool may_redo(const struct execution *execution, uint32_t block)
{
    size_t redone = 0;
    for (size_t i = 0; i < execution->plan->blocks; i++)
        redone += execution->blocks[i].attempt;
    return execution->plan->redo && execution->blocks[block].attempt < RUN_REDOS &&
           redone < execution->plan->blocks;
}

/* A disturbed block is done again whole: its processes are compared with each other, so one that
 * was measured at another time is no replacement. */
static enum status block_execute(struct execution *execution, uint32_t block, struct error *err)
{
    enum status status = attempt_execute(execution, block, err);
    while (!status && execution->blocks[block].disturbed && may_redo(execution, block)) {
        attempt_begin(execution, block, execution->blocks[block].attempt + 1);
        execution->progress.total += block_due(execution, block);
        status = attempt_execute(execution, block, err);
    }
    return status;
}

static enum status execution_init(struct execution *execution, struct error *err)
{
    size_t variants = execution->plan->variant_count, blocks = execution->plan->blocks;
    struct arena *arena = &execution->arena;
    size_t points = execution->plan->point_count;
    execution->turns = arena_array(arena, variants, blocks * points * sizeof *execution->turns);
    execution->blocks = arena_array(arena, blocks, sizeof *execution->blocks);
    execution->clocks = arena_array(arena, variants, sizeof *execution->clocks);
    execution->described = arena_array(arena, variants, sizeof *execution->described);
    execution->order = arena_array(arena, variants, sizeof *execution->order);
    if (!execution->turns || !execution->blocks || !execution->clocks || !execution->described ||
        !execution->order)
        return error_no_memory(err, variants * blocks);
    for (size_t block = 0; block < blocks; block++)
        attempt_begin(execution, block, 0);
    enum status status = limits_init(&execution->limits, execution->plan, arena, err);
    if (!status)
        status = take_up(execution, err);
    if (!status)
        status =
            store_run_state(execution->options->store, execution->options->run, "running", err);
    return status;
}

enum status run_execute(const struct plan *plan, const struct run_options *options,
                        struct error *err)
{
    struct error ignored;
    struct execution execution = {.plan = plan, .options = options};
    coldness_begin(&execution.coldness, plan);
    energy_open(&execution.energy, text_sysfs(), plan->gpu.pci, &ignored);
    enum status status = execution_init(&execution, err);
    if (!status)
        progress_start(&execution.progress, options->progress, count_due(&execution), plan->blocks);
    const struct gating gating = {plan, options->store, options->run, options->cancel_fd,
                                  &execution.progress};
    if (!status)
        status = quantising_prepare(&gating, err);
    if (!status)
        status = gating_streams(&gating, err);
    for (uint32_t block = 0; block < plan->blocks && !status; block++)
        status = block_execute(&execution, block, err);
    if (!status)
        status = gating_greedy(&gating, err);
    progress_end(&execution.progress);
    coldness_end(&execution.coldness);
    energy_close(execution.energy);
    if (status)
        store_run_state(options->store, options->run, "interrupted", &ignored);
    else
        status = store_run_state(options->store, options->run, "complete", err);
    arena_free(&execution.arena);
    return status;
}
