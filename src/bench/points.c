/* What was measured at the points of a sweep or of the load matrix. */
#include <math.h>

#include "base/json.h"
#include "bench/readings.h"
#include "bench/selection.h"
#include "bench/summary_parts.h"

static enum status point_read(struct summary_point *point, const json_t *stored,
                              struct arena *arena, struct error *err)
{
    int64_t prompt, context;
    const char *pages = json_string_value(json_object_get(stored, "pages"));
    const char *cache = json_string_value(json_object_get(stored, "compile_cache"));
    enum status status = json_get_int_or(stored, "prompt_tokens", 0, UINT32_MAX, 0, &prompt, err);
    if (!status)
        status = json_get_int_or(stored, "context", 0, UINT32_MAX, 0, &context, err);
    if (status)
        return status;
    point->prompt_tokens = (uint32_t)prompt;
    point->context = (uint32_t)context;
    point->pages = pages ? arena_strdup(arena, pages) : NULL;
    point->compile_cache = cache ? arena_strdup(arena, cache) : NULL;
    return STATUS_OK;
}

/* The share of the model that was in the page cache, over all processes; NaN when unknown. */
static double mean_resident(const struct record_run *run)
{
    double sum = 0;
    for (size_t i = 0; i < run->process_count; i++)
        sum += reading_of(&run->processes[i], READING_PAGES_RESIDENT);
    return run->process_count ? sum / (double)run->process_count : NAN;
}

static enum status point_fill(struct summary *summary, struct summary_point *point,
                              const struct record_run *record, size_t index, struct error *err)
{
    struct selection selection;
    struct cells cells;
    enum status status = selection_make(&selection, record, (uint32_t)index, &summary->arena, err);
    if (!status)
        status = cells_make(&cells, &selection.run, &summary->arena, err);
    if (status)
        return status;
    point->resident = mean_resident(&selection.run);
    point->metrics =
        arena_array(&summary->arena, summary->variant_count + 1, sizeof *point->metrics);
    double *values = arena_array(&summary->arena, cells.blocks + 1, sizeof *values);
    if (!point->metrics || !values)
        return error_no_memory(err, summary->variant_count * sizeof *point->metrics);
    for (size_t i = 0; i < summary->variant_count; i++)
        for (size_t m = 0; m < METRIC_COUNT; m++) {
            for (size_t block = 0; block < cells.blocks; block++)
                values[block] = cells_at(&cells, i, block)->values[m];
            point->metrics[i][m] = estimate_make(values, cells.blocks, metric_infos[m].ratio_scale);
        }
    return STATUS_OK;
}

enum status points_make(struct summary *summary, const struct record_run *record,
                        const json_t *plan, struct error *err)
{
    const json_t *list = json_object_get(plan, "points");
    size_t count = json_array_size(list);
    enum status status = STATUS_OK;
    if (count < 2)
        return STATUS_OK;
    summary->points = arena_array(&summary->arena, count, sizeof *summary->points);
    if (!summary->points)
        return error_no_memory(err, count * sizeof *summary->points);
    summary->point_count = count;
    for (size_t i = 0; i < count && !status; i++) {
        status = point_read(&summary->points[i], json_array_get(list, i), &summary->arena, err);
        if (!status)
            status = point_fill(summary, &summary->points[i], record, i, err);
    }
    return status;
}
