#include "bench/summary.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "bench/readings.h"
#include "bench/selection.h"
#include "bench/summary_parts.h"
#include "engine/form.h"
#include "stats/stats.h"

/* Figures of all steps of a variant's processes together: no interval, since they are extremes
 * and percentiles of a pool. */
static void pool_steps(struct summary_variant *variant, double *steps, size_t count, size_t blocks,
                       struct arena *arena)
{
    static const struct {
        enum metric metric;
        unsigned percent; /* 0 and 100 are the extremes */
        size_t needed;
    } wanted[] = {{METRIC_TPOT_MIN, 0, 1},
                  {METRIC_TPOT_MAX, 100, 1},
                  {METRIC_TPOT_P90, 90, 64},
                  {METRIC_TPOT_P99, 99, 662}};
    stats_sort(steps, count);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct estimate *estimate = &variant->metrics[wanted[i].metric];
        bool extreme = wanted[i].percent == 0 || wanted[i].percent == 100;
        if (count && (extreme || stats_percentile_allowed(count, wanted[i].percent))) {
            double value = stats_quantile(steps, count, wanted[i].percent / 100.0);
            *estimate = (struct estimate){
                .known = value > 0, .value = value, .low = value, .high = value, .blocks = blocks};
        } else if (count) {
            *estimate = (struct estimate){
                .why = arena_printf(arena, "needs %zu tokens, has %zu", wanted[i].needed, count)};
        }
    }
}

/* The best of all processes, as its name says. */
static struct estimate highest(const double *values, size_t count)
{
    struct estimate best = {0};
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i])) {
            double value = best.known ? fmax(best.value, values[i]) : values[i];
            best = (struct estimate){true, value, value, value, best.blocks + 1, NULL, NULL};
        }
    return best;
}

/* Why a metric is missing though processes went well: the engine did not tell what it takes. */
static void missing_reasons(struct summary_variant *variant, bool on_gpu)
{
    static const struct {
        enum metric metric, needs;
        const char *why;
    } reasons[] = {
        {METRIC_WEIGHTS, METRIC_WEIGHTS, "the engine does not tell the size of its weights"},
        {METRIC_MEMORY_OVERHEAD, METRIC_WEIGHTS,
         "the engine does not tell the size of its weights"},
        {METRIC_LIMIT_SHARE, METRIC_WEIGHTS, "the engine does not tell the size of its weights"},
        {METRIC_LIMIT_SHARE, METRIC_BANDWIDTH, "the memory's bandwidth was not probed"},
        {METRIC_PEAK_MEMORY, METRIC_PEAK_MEMORY, "the engine does not tell its memory"},
        {METRIC_MODEL_MEMORY, METRIC_PEAK_MEMORY, "the engine does not tell its memory"},
        {METRIC_IDLE_POWER, METRIC_IDLE_POWER,
         "no energy counters can be read: the manifest says why, or they do not move"},
        {METRIC_ENERGY, METRIC_IDLE_POWER,
         "no energy counters can be read: the manifest says why, or they do not move"},
        {METRIC_ENERGY, METRIC_ENERGY,
         "the steps that count took less than 20 renewals of the energy counter (2 s on most "
         "GPUs): use more --iterations"},
    };
    if (on_gpu && variant->shard > 1)
        variant->metrics[METRIC_IDLE_POWER].why = variant->metrics[METRIC_ENERGY].why =
            "energy is counted of one card, and this is split over several";
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct estimate *estimate = &variant->metrics[reasons[i].metric];
        if (!estimate->known && !estimate->why && !variant->metrics[reasons[i].needs].known)
            estimate->why = reasons[i].why;
    }
}

/* Whether the steps that count still fall: Kendall's test over the series of all processes (Hirsch
 * and Slack 1984, who had months for processes), and by more than is no difference. */
static bool is_falling(const struct summary_variant *variant, const struct cells *cells,
                       size_t index)
{
    const double matters = -0.02, significance = 0.01;
    const struct estimate *trend = &variant->metrics[METRIC_TREND];
    struct stats_trend sum = {0};
    for (size_t block = 0; block < cells->blocks; block++) {
        sum.score += cells_at(cells, index, block)->trend.score;
        sum.variance += cells_at(cells, index, block)->trend.variance;
    }
    return trend->known && trend->value < matters && stats_trend_falling_p(sum) < significance;
}

static enum status variant_estimates(struct summary *summary, const struct cells *cells,
                                     size_t index, struct error *err)
{
    struct summary_variant *variant = &summary->variants[index];
    size_t steps = 0, measured = 0;
    for (size_t block = 0; block < cells->blocks; block++) {
        const struct record_process *process = cells_at(cells, index, block)->process;
        if (process) {
            steps += process->token_count;
            measured++;
            variant->threads = process->threads;
            if (process->precision && *process->precision)
                variant->precision = process->precision;
        }
    }
    double *values = arena_array(&summary->arena, cells->blocks + 1, sizeof *values);
    double *pool = arena_array(&summary->arena, steps + 1, sizeof *pool);
    if (!values || !pool)
        return error_no_memory(err, steps * sizeof *pool);
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        for (size_t block = 0; block < cells->blocks; block++)
            values[block] = cells_at(cells, index, block)->values[m];
        variant->metrics[m] =
            m == METRIC_PEAK_THROUGHPUT
                ? highest(values, cells->blocks)
                : estimate_make(values, cells->blocks, metric_infos[m].ratio_scale);
    }
    variant->falling = is_falling(variant, cells, index);
    size_t pooled = 0;
    for (size_t block = 0; block < cells->blocks; block++)
        if (cells_at(cells, index, block)->process)
            pooled += process_steps(cells_at(cells, index, block)->process, pool + pooled);
    pool_steps(variant, pool, pooled, measured, &summary->arena);
    if (measured)
        missing_reasons(variant, summary->on_gpu);
    return STATUS_OK;
}

/* A figure of the gate: of one stream, so without an interval. */
static struct estimate gate_figure(double value)
{
    return (struct estimate){.known = true, .value = value, .low = value, .high = value};
}

static enum status equivalence_fill(struct summary *summary, struct error *err)
{
    for (size_t i = 0; summary->run->equivalence && i < summary->variant_count; i++) {
        const struct record_equivalence *record = &summary->run->equivalence[i];
        struct summary_variant *variant = &summary->variants[i];
        variant->equivalence = equivalence_judge(record);
        if (variant->equivalence == EQUIVALENCE_FAILED ||
            variant->equivalence == EQUIVALENCE_UNGATED) {
            variant->equivalence_reason = equivalence_reason(record, &summary->arena);
            if (!variant->equivalence_reason)
                return error_no_memory(err, 0);
        }
        if (record->why || record->broken >= record->positions)
            continue;
        variant->metrics[METRIC_KL_MEAN] = gate_figure(record->kl_mean);
        variant->metrics[METRIC_KL_MOST] = gate_figure(record->kl_most);
        variant->metrics[METRIC_TOP1] = gate_figure((double)record->agreeing / record->positions);
        variant->metrics[METRIC_LOGIT_ERROR] = gate_figure(record->error_most);
    }
    return STATUS_OK;
}

/* What happened to each variant, whether or not it was measured. */
static void variant_history(struct summary *summary)
{
    const struct record_run *run = summary->run;
    for (size_t i = 0; i < run->variant_count; i++) {
        summary->variants[i] = (struct summary_variant){
            .variant = &run->variants[i],
            .precision = run->variants[i].precision,
            .why = run->variants[i].unavailable,
            .shard = 1,
        };
    }
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        struct summary_variant *variant = &summary->variants[process->variant];
        variant->processes++;
        if (process->failure) {
            variant->failures++;
            variant->why = process->failure;
            variant->log_tail = process->log_tail;
        }
    }
    for (size_t i = 0; i < run->variant_count; i++)
        if (!summary->variants[i].processes && !summary->variants[i].why)
            summary->variants[i].why = "its turn did not come before the run ended";
}

/* What was disturbed though it counts. */
static enum status count_disturbed(struct summary *summary, const struct cells *cells,
                                   struct error *err)
{
    const struct record_run *run = summary->run;
    struct clocks *fastest = arena_array(&summary->arena, run->variant_count + 1, sizeof *fastest);
    bool *blocks = arena_array(&summary->arena, cells->blocks + 1, sizeof *blocks);
    if (!fastest || !blocks)
        return error_no_memory(err, cells->blocks);
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        const char *what = disturbance_of(process, &fastest[process->variant], &summary->arena);
        clocks_note(&fastest[process->variant], process);
        if (!what)
            continue;
        summary->variants[process->variant].disturbed++;
        summary->disturbed += !blocks[process->block];
        blocks[process->block] = true;
    }
    return STATUS_OK;
}

static void count_blocks(struct summary *summary, const struct cells *cells)
{
    for (size_t block = 0; block < cells->blocks; block++) {
        size_t wanted = 0, measured = 0;
        for (size_t i = 0; i < cells->variants; i++) {
            wanted += summary->variants[i].processes > summary->variants[i].failures;
            measured += cells_at(cells, i, block)->process != NULL;
        }
        summary->blocks += wanted > 0 && measured == wanted;
    }
}

/* Which variant repeats which: a plan that names one that cannot be has no control. */
static void read_control(struct summary *summary, const json_t *variants)
{
    for (size_t i = 0; i < json_array_size(variants) && i < summary->variant_count; i++) {
        const char *of =
            json_string_value(json_object_get(json_array_get(variants, i), "control_of"));
        for (size_t j = 0; of && j < i; j++)
            if (strcmp(of, summary->run->variants[j].name) == 0) {
                summary->control = i;
                summary->control_of = j;
                summary->variants[i].control = true;
                return;
            }
    }
}

/* What the plan asked of a variant. */
static enum status read_asked(struct summary *summary, const json_t *variants, struct error *err)
{
    for (size_t i = 0; i < json_array_size(variants) && i < summary->variant_count; i++) {
        const json_t *asked = json_array_get(variants, i);
        struct summary_variant *variant = &summary->variants[i];
        const char *quantize = json_string_value(json_object_get(asked, "quantize"));
        int64_t shard;
        if (json_get_int_or(asked, "shard", 1, FORM_SHARDS, 1, &shard, err))
            return err->status;
        variant->compiled = json_is_true(json_object_get(asked, "compiled"));
        variant->shard = (unsigned)shard;
        variant->quantize = quantize ? arena_strdup(&summary->arena, quantize) : NULL;
        if (quantize && !variant->quantize)
            return error_no_memory(err, strlen(quantize));
    }
    return STATUS_OK;
}

/* What the plan says of the run's size; a record without a plan says nothing. */
static enum status read_plan(struct summary *summary, const struct record_run *record,
                             struct error *err)
{
    const char *text = summary->run->plan;
    if (!text || !*text)
        return STATUS_OK;
    json_t *plan = json_parse(text, strlen(text), "the run's plan", err);
    if (!plan)
        return err->status;
    int64_t blocks, iterations, prompt;
    enum status status = json_get_int_or(plan, "blocks", 0, INT32_MAX, 0, &blocks, err);
    if (!status)
        status = json_get_int_or(plan, "iterations", 0, INT32_MAX, 0, &iterations, err);
    if (!status)
        status = json_get_int_or(plan, "prompt_tokens", 0, INT32_MAX, 0, &prompt, err);
    if (!status) {
        const char *source = json_string_value(json_object_get(plan, "prompt_source"));
        const char *device = json_string_value(json_object_get(plan, "device"));
        summary->on_gpu = device && strncmp(device, "cuda", 4) == 0;
        summary->synthetic = source && strcmp(source, "synthetic") == 0;
        read_control(summary, json_object_get(plan, "variants"));
        status = read_asked(summary, json_object_get(plan, "variants"), err);
    }
    if (!status) {
        status = points_make(summary, record, plan, err);
        summary->blocks_planned = (size_t)blocks;
        summary->iterations = (size_t)iterations;
        summary->prompt_tokens = (size_t)prompt;
    }
    json_decref(plan);
    return status;
}

static enum status fill(struct summary *summary, const struct record_run *record, struct error *err)
{
    struct cells cells;
    enum status status = cells_make(&cells, summary->run, &summary->arena, err);
    if (status)
        return status;
    variant_history(summary);
    status = read_plan(summary, record, err);
    if (status)
        return status;
    count_blocks(summary, &cells);
    status = count_disturbed(summary, &cells, err);
    for (size_t i = 0; i < summary->variant_count && !status; i++)
        status = variant_estimates(summary, &cells, i, err);
    if (!status)
        status = equivalence_fill(summary, err);
    if (!status)
        status = impacts_make(summary, &cells, err);
    if (!status)
        status = compare_all(summary, &cells, err);
    return status ? status : notes_make(summary, &cells, err);
}

enum status summary_make(struct summary *summary, const struct record_run *run, struct error *err)
{
    *summary = (struct summary){.record = run, .variant_count = run->variant_count};
    struct selection *selection = arena_array(&summary->arena, 1, sizeof *selection);
    summary->variants =
        arena_array(&summary->arena, run->variant_count + 1, sizeof(struct summary_variant));
    if (!selection || !summary->variants) {
        summary_free(summary);
        return error_no_memory(err, run->variant_count);
    }
    enum status status = selection_make(selection, run, 0, &summary->arena, err);
    if (!status) {
        summary->run = &selection->run;
        summary->redone = selection->redone;
        status = fill(summary, run, err);
    }
    if (status)
        summary_free(summary);
    return status;
}

bool summary_has_verdict(const struct summary *summary)
{
    for (size_t i = 0; i < summary->comparison_count; i++)
        if (summary->comparisons[i].verdict != VERDICT_NONE)
            return true;
    return false;
}

void summary_free(struct summary *summary)
{
    arena_free(&summary->arena);
    *summary = (struct summary){0};
}
