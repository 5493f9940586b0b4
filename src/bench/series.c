#include "bench/series.h"

#include <math.h>
#include <string.h>

#include "bench/cells.h"
#include "bench/readings.h"
#include "stats/stats.h"

/* Parts of a start, summed over processes as they are met. */
enum { MOST_PARTS = 24 };

struct parts {
    struct series_part part[MOST_PARTS];
    size_t count;
};

static void parts_add(struct parts *parts, const char *name, enum series_stage stage,
                      double seconds)
{
    size_t i = 0;
    if (!(seconds > 0))
        return;
    while (i < parts->count &&
           (parts->part[i].stage != stage || strcmp(parts->part[i].name, name) != 0))
        i++;
    if (i == parts->count && parts->count == MOST_PARTS)
        i = MOST_PARTS - 1; /* an engine with so many phases gets the last ones as one */
    else if (i == parts->count)
        parts->part[parts->count++] = (struct series_part){.name = name, .stage = stage};
    parts->part[i].seconds += seconds;
}

static double seconds_between(int64_t start_ns, int64_t end_ns)
{
    return end_ns > start_ns ? (double)(end_ns - start_ns) * 1e-9 : 0;
}

/* The engine's phases may leave gaps, and lie: what they claim beyond the load is cut off. */
static void parts_add_process(struct parts *parts, const struct record_process *process)
{
    double load = seconds_between(process->load_asked_ns, process->load_ready_ns);
    parts_add(parts, "process", STAGE_PROCESS,
              seconds_between(process->spawned_ns, process->hello_ns));
    for (size_t i = 0; i < process->phase_count; i++) {
        const struct record_phase *phase = &process->phases[i];
        double took = fmin(seconds_between(phase->start_ns, phase->end_ns), load);
        parts_add(parts, phase->name && *phase->name ? phase->name : "unnamed", STAGE_LOAD, took);
        load -= took;
    }
    parts_add(parts, "other load", STAGE_LOAD, load);
    parts_add(parts, "first token", STAGE_FIRST_TOKEN,
              seconds_between(process->cold_asked_ns, process->cold_first_ns));
}

static enum status parts_make(struct series_variant *own, const struct cells *cells, size_t index,
                              struct arena *arena, struct error *err)
{
    struct parts parts = {.count = 0};
    for (size_t block = 0; block < cells->blocks; block++)
        if (cells_at(cells, index, block)->process)
            parts_add_process(&parts, cells_at(cells, index, block)->process);
    own->parts = arena_array(arena, parts.count + 1, sizeof *own->parts);
    if (!own->parts)
        return error_no_memory(err, parts.count * sizeof *own->parts);
    for (enum series_stage stage = STAGE_PROCESS; stage <= STAGE_FIRST_TOKEN; stage++)
        for (size_t i = 0; i < parts.count; i++)
            if (parts.part[i].stage == stage) {
                own->parts[own->part_count] = parts.part[i];
                own->parts[own->part_count++].seconds /= (double)own->block_count;
            }
    return STATUS_OK;
}

static enum status blocks_make(struct series_variant *own, const struct cells *cells, size_t index,
                               struct arena *arena, struct error *err)
{
    size_t pooled = 0;
    own->blocks = arena_array(arena, cells->blocks + 1, sizeof *own->blocks);
    if (!own->blocks)
        return error_no_memory(err, cells->blocks * sizeof *own->blocks);
    for (size_t block = 0; block < cells->blocks; block++) {
        const struct cell *cell = cells_at(cells, index, block);
        if (!cell->process)
            continue;
        double *steps = arena_array(arena, cell->process->token_count + 1, sizeof *steps);
        if (!steps)
            return error_no_memory(err, cell->process->token_count * sizeof *steps);
        struct series_block *next = &own->blocks[own->block_count++];
        *next = (struct series_block){.block = block,
                                      .steps = steps,
                                      .step_count = process_steps(cell->process, steps),
                                      .median = cell->values[METRIC_TPOT_MEDIAN]};
        pooled += next->step_count;
    }
    double *pool = arena_array(arena, pooled + 1, sizeof *pool);
    if (!pool)
        return error_no_memory(err, pooled * sizeof *pool);
    size_t at = 0;
    for (size_t i = 0; i < own->block_count; i++)
        for (size_t j = 0; j < own->blocks[i].step_count; j++)
            pool[at++] = own->blocks[i].steps[j];
    stats_sort(pool, pooled);
    own->lowest = stats_quantile(pool, pooled, 0);
    own->quarter = stats_quantile(pool, pooled, 0.25);
    own->median = stats_median(pool, pooled);
    own->three_quarters = stats_quantile(pool, pooled, 0.75);
    own->highest = stats_quantile(pool, pooled, 1);
    return STATUS_OK;
}

/* Each decode step of the timed generation over all processes that came to it. */
static enum status tokens_make(struct series_variant *own, const struct cells *cells, size_t index,
                               struct arena *arena, struct error *err)
{
    size_t most = 0;
    for (size_t block = 0; block < cells->blocks; block++) {
        const struct record_process *process = cells_at(cells, index, block)->process;
        if (process && process->token_count > most + 1)
            most = process->token_count - 1;
        if (process)
            own->warmup = process->warmup_steps;
    }
    double *values = arena_array(arena, cells->blocks + 1, sizeof *values);
    own->tokens = arena_array(arena, most + 1, sizeof *own->tokens);
    if (!values || !own->tokens)
        return error_no_memory(err, most * sizeof *own->tokens);
    for (size_t step = 0; step < most; step++) {
        size_t count = 0;
        for (size_t block = 0; block < cells->blocks; block++) {
            const struct record_process *process = cells_at(cells, index, block)->process;
            if (process && step + 1 < process->token_count)
                values[count++] =
                    (double)(process->stamps_ns[step + 1] - process->stamps_ns[step]) * 1e-9;
        }
        stats_sort(values, count);
        own->tokens[step] =
            (struct series_range){stats_quantile(values, count, 0), stats_median(values, count),
                                  stats_quantile(values, count, 1)};
    }
    own->token_count = most;
    return STATUS_OK;
}

static bool counts(const struct summary *summary, const struct record_process *process)
{
    for (size_t i = 0; i < summary->run->process_count; i++) {
        const struct record_process *other = &summary->run->processes[i];
        if (other->block == process->block && other->variant == process->variant)
            return other->attempt == process->attempt;
    }
    return false;
}

/* Of all that was recorded, attempts that were done again included. */
static enum status disturbances_make(struct series *series, const struct summary *summary,
                                     struct arena *arena, struct error *err)
{
    const struct record_run *record = summary->record;
    size_t most = record ? record->process_count : 0;
    struct clocks *fastest = arena_array(arena, summary->variant_count + 1, sizeof *fastest);
    series->disturbances = arena_array(arena, most + 1, sizeof *series->disturbances);
    if (!fastest || !series->disturbances)
        return error_no_memory(err, most * sizeof *series->disturbances);
    for (size_t i = 0; i < most; i++) {
        const struct record_process *process = &record->processes[i];
        if (process->point)
            continue;
        const char *what = disturbance_of(process, &fastest[process->variant], arena);
        clocks_note(&fastest[process->variant], process);
        if (what)
            series->disturbances[series->disturbance_count++] =
                (struct series_disturbance){.variant = process->variant,
                                            .block = process->block,
                                            .attempt = process->attempt,
                                            .counts = counts(summary, process),
                                            .what = what};
    }
    return STATUS_OK;
}

enum status series_make(struct series *series, const struct summary *summary, struct arena *arena,
                        struct error *err)
{
    struct cells cells = {0};
    *series = (struct series){
        .variants = arena_array(arena, summary->variant_count + 1, sizeof *series->variants),
        .variant_count = summary->variant_count};
    enum status status = series->variants ? cells_make(&cells, summary->run, arena, err)
                                          : error_no_memory(err, summary->variant_count);
    for (size_t i = 0; i < summary->variant_count && !status; i++) {
        struct series_variant *own = &series->variants[i];
        const struct estimate *rate = &summary->variants[i].metrics[METRIC_THROUGHPUT];
        const struct estimate *share = &summary->variants[i].metrics[METRIC_LIMIT_SHARE];
        if (rate->known && share->known && share->value > 0)
            own->limit_rate = rate->value / share->value;
        status = blocks_make(own, &cells, i, arena, err);
        if (!status)
            status = tokens_make(own, &cells, i, arena, err);
        if (!status)
            status = parts_make(own, &cells, i, arena, err);
    }
    return status ? status : disturbances_make(series, summary, arena, err);
}
