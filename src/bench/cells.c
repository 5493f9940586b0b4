#include "bench/cells.h"

#include <math.h>

/* A warm-up that was too short shows in the first of the steps that count; all pairs of more would
 * take long. */
enum { TREND_STEPS = 512 };

/* What a process's own series of steps says. */
static void cell_steps(struct cell *cell, double *scratch)
{
    size_t count = process_steps(cell->process, scratch);
    size_t first = count < TREND_STEPS ? count : TREND_STEPS;
    cell->trend = stats_trend_of(scratch, first);
    double slope = stats_slope(scratch, first);
    stats_sort(scratch, count);
    double median = stats_median(scratch, count);
    if (!(median > 0))
        return;
    cell->values[METRIC_TPOT_MEDIAN] = median;
    cell->values[METRIC_TREND] = slope * (double)(first - 1) / median;
}

static enum status fill(struct cells *cells, const struct record_run *run, double *scratch,
                        struct error *err)
{
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        if (process->variant >= run->variant_count || process->block >= run->process_count) {
            error_set(err, STATUS_FORMAT,
                      "process %zu belongs to block %u and variant %u, which cannot be", i + 1,
                      process->block + 1, process->variant + 1);
            return error_where(err, "run %lld", (long long)run->id);
        }
        if (process->failure)
            continue;
        struct cell *cell = &cells->cell[process->variant * cells->blocks + process->block];
        cell->process = process;
        process_metrics(process, cell->values);
        cell_steps(cell, scratch);
    }
    return STATUS_OK;
}

enum status cells_make(struct cells *cells, const struct record_run *run, struct arena *arena,
                       struct error *err)
{
    size_t blocks = 0, tokens = 1;
    for (size_t i = 0; i < run->process_count; i++) {
        if (run->processes[i].block < run->process_count && run->processes[i].block >= blocks)
            blocks = (size_t)run->processes[i].block + 1;
        if (run->processes[i].token_count > tokens)
            tokens = run->processes[i].token_count;
    }
    size_t count = run->variant_count * blocks;
    *cells = (struct cells){run->variant_count, blocks,
                            arena_array(arena, count ? count : 1, sizeof(struct cell))};
    double *scratch = arena_array(arena, tokens, sizeof *scratch);
    if (!cells->cell || !scratch)
        return error_no_memory(err, count * sizeof(struct cell));
    for (size_t i = 0; i < count; i++)
        for (size_t m = 0; m < METRIC_COUNT; m++)
            cells->cell[i].values[m] = NAN;
    return fill(cells, run, scratch, err);
}

const struct cell *cells_at(const struct cells *cells, size_t variant, size_t block)
{
    return &cells->cell[variant * cells->blocks + block];
}

double cells_log_value(const struct cells *cells, size_t variant, enum metric metric, size_t block)
{
    enum metric by = metric == METRIC_TPOT ? METRIC_TPOT_MEDIAN : metric;
    double value = log(cells_at(cells, variant, block)->values[by]);
    return metric_infos[by].better > 0 ? value : -value;
}

double cells_log_ratio(const struct cells *cells, size_t a, size_t b, enum metric metric,
                       size_t block)
{
    return cells_log_value(cells, a, metric, block) - cells_log_value(cells, b, metric, block);
}
