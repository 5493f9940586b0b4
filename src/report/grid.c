#include "report/grid_parts.h"

#include <string.h>

#include "report/text.h"

static const char *const YARDSTICK = "native"; /* the engine that others are held against */

const char *variant_title(const struct record_variant *variant, struct arena *arena)
{
    bool titled = variant->title && *variant->title;
    return text_clean(arena, titled ? variant->title : variant->name);
}

size_t *column_order(const struct summary *summary, struct arena *arena)
{
    size_t *order = arena_array(arena, summary->variant_count + 1, sizeof *order);
    size_t next = 0;
    for (int yardstick = 1; order && yardstick >= 0; yardstick--) {
        for (size_t i = 0; i < summary->variant_count; i++) {
            const char *engine = summary->variants[i].variant->engine;
            if ((engine && strcmp(engine, YARDSTICK) == 0) == yardstick)
                order[next++] = i;
        }
    }
    return order;
}

/* What a quantised variant's speed costs, which is never left out. */
static bool is_price(const struct summary *summary, enum metric metric)
{
    if (metric != METRIC_KL_MEAN && metric != METRIC_TOP1)
        return false;
    for (size_t i = 0; i < summary->variant_count; i++)
        if (summary->variants[i].quantize)
            return true;
    return false;
}

/* What splitting costs; where it is not known, the reason is told. */
static bool is_cost_of_shards(const struct summary *summary, enum metric metric)
{
    if (metric_infos[metric].group != GROUP_SHARDS)
        return false;
    for (size_t i = 0; i < summary->variant_count; i++)
        if (summary->variants[i].shard > 1)
            return true;
    return false;
}

/* A metric outside the classic ones says something when it sums up what a user waits for, or exists
 * only where it matters: memory of a device, what a precision gains. */
static bool metric_shown(const struct summary *summary, enum metric metric, bool wide)
{
    const struct metric_info *info = &metric_infos[metric];
    bool telling = wide || metric == METRIC_START_TO_FIRST_TOKEN || metric == METRIC_ENERGY ||
                   metric == METRIC_IDLE_POWER || metric == METRIC_DEVICE_MEMORY ||
                   metric == METRIC_PRECISION_IMPACT || metric == METRIC_COMPILE_BENEFIT;
    if (info->classic || is_price(summary, metric) || is_cost_of_shards(summary, metric))
        return true;
    for (size_t i = 0; telling && i < summary->variant_count; i++) {
        const struct estimate *estimate = &summary->variants[i].metrics[metric];
        if (estimate_usable(estimate) || (wide && estimate->why))
            return true;
    }
    return false;
}

/* What a row shows: a metric of the run, or of one of its points. */
static const struct estimate *estimate_at(const struct grid_source *source, size_t column,
                                          enum metric metric, const struct summary_point *point)
{
    return point ? &point->metrics[source->order[column]][metric]
                 : &grid_variant(source, column)->metrics[metric];
}

/* Whether a figure may be the best of its row: not that of a variant that computes something else.
 */
static bool is_ranked(const struct grid_row *row, const struct grid_source *source, size_t column)
{
    return !row->cells[column].word &&
           grid_variant(source, column)->equivalence != EQUIVALENCE_FAILED;
}

/* Marks what is best in a row, and everything that shows the same figure; nothing when all do. */
static void row_mark_best(struct grid_row *row, const struct grid_source *source,
                          enum metric metric, const struct summary_point *point)
{
    int better = metric_infos[metric].better;
    size_t columns = source->summary->variant_count, best = columns, same = 0, known = 0;
    double best_value = 0;
    for (size_t i = 0; better && i < columns; i++) {
        if (!is_ranked(row, source, i))
            continue;
        double value = better * estimate_at(source, i, metric, point)->value;
        known++;
        if (best == columns || value > best_value) {
            best = i;
            best_value = value;
        }
    }
    for (size_t i = 0; best < columns && i < columns; i++)
        if (is_ranked(row, source, i))
            same += strcmp(row->cells[i].value.text, row->cells[best].value.text) == 0;
    for (size_t i = 0; same < known && i < columns; i++)
        row->cells[i].best = is_ranked(row, source, i) &&
                             strcmp(row->cells[i].value.text, row->cells[best].value.text) == 0;
}

static bool row_metric(struct grid_row *row, const struct grid_source *source, enum metric metric,
                       const struct summary_point *point)
{
    const struct metric_info *info = &metric_infos[metric];
    size_t columns = source->summary->variant_count;
    row->title = info->title;
    row->group = info->group;
    row->cells = arena_array(source->arena, columns + 1, sizeof *row->cells);
    if (!row->cells)
        return false;
    for (size_t i = 0; i < columns; i++) {
        const struct estimate *estimate = estimate_at(source, i, metric, point);
        struct grid_cell *cell = &row->cells[i];
        if (estimate_usable(estimate)) {
            cell->value = number_metric(estimate, info);
            cell->spread = number_spread(estimate, info);
        } else {
            cell->failed = grid_failed(grid_variant(source, i));
            cell->word = cell->failed ? "failed" : "n/a";
        }
    }
    row_mark_best(row, source, metric, point);
    return true;
}

/* Cold and warm starts: each a row of one metric. */
static bool rows_starts(struct grid *grid, const struct grid_source *source)
{
    for (size_t i = 0; i < source->summary->point_count; i++) {
        const struct summary_point *point = &source->summary->points[i];
        struct grid_row *row = &grid->rows[grid->row_count];
        if (!point->pages)
            continue;
        if (!row_metric(row, source, METRIC_START_TO_FIRST_TOKEN, point))
            return false;
        row->group = GROUP_STARTS;
        row->title = arena_printf(source->arena, "Pages %s, cache %s", point->pages,
                                  point->compile_cache ? point->compile_cache : "warm");
        if (!row->title)
            return false;
        grid->row_count++;
    }
    return true;
}

/* A sweep: what a prompt of each length costs, and a token after it. */
static bool rows_lengths(struct grid *grid, const struct grid_source *source)
{
    static const struct {
        enum metric metric;
        const char *name;
    } shown[] = {{METRIC_TTFT, "TTFT"}, {METRIC_TPOT, "TPOT"}};
    size_t sweep = 0;
    for (size_t i = 0; i < source->summary->point_count; i++)
        sweep += !source->summary->points[i].pages;
    for (size_t m = 0; sweep > 1 && m < 2; m++)
        for (size_t i = 0; i < source->summary->point_count; i++) {
            const struct summary_point *point = &source->summary->points[i];
            struct grid_row *row = &grid->rows[grid->row_count];
            if (point->pages)
                continue;
            if (!row_metric(row, source, shown[m].metric, point))
                return false;
            row->group = GROUP_LENGTHS;
            row->title = arena_printf(source->arena, "%s %u in %u (ms)", shown[m].name,
                                      point->prompt_tokens, point->context);
            if (!row->title)
                return false;
            grid->row_count++;
        }
    return true;
}

static bool row_precision(struct grid_row *row, const struct grid_source *source)
{
    size_t columns = source->summary->variant_count;
    row->title = "Precision";
    row->group = GROUP_PRECISION;
    row->cells = arena_array(source->arena, columns + 1, sizeof *row->cells);
    for (size_t i = 0; row->cells && i < columns; i++) {
        const char *word = text_clean(source->arena, grid_variant(source, i)->precision);
        if (!word)
            return false;
        row->cells[i].word = *word ? text_fit(source->arena, word, GRID_TITLE_WIDTH) : "n/a";
        if (!row->cells[i].word)
            return false;
    }
    return row->cells;
}

/* What the gate said. */
static bool row_equivalence(struct grid_row *row, const struct grid_source *source)
{
    static const char *const words[] = {[EQUIVALENCE_UNKNOWN] = "not checked",
                                        [EQUIVALENCE_GIVEN] = "yes",
                                        [EQUIVALENCE_FAILED] = "NOT EQUIVALENT",
                                        [EQUIVALENCE_UNGATED] = "not gated"};
    size_t columns = source->summary->variant_count;
    row->title = "Equivalence";
    row->group = GROUP_TRUST;
    row->cells = arena_array(source->arena, columns + 1, sizeof *row->cells);
    for (size_t i = 0; row->cells && i < columns; i++) {
        row->cells[i].word = words[grid_variant(source, i)->equivalence];
        row->cells[i].failed = grid_variant(source, i)->equivalence == EQUIVALENCE_FAILED;
    }
    return row->cells;
}

/* How many processes of each variant went well. */
static bool row_processes(struct grid_row *row, const struct grid_source *source)
{
    size_t columns = source->summary->variant_count;
    row->title = "Good Processes";
    row->group = GROUP_TRUST;
    row->cells = arena_array(source->arena, columns + 1, sizeof *row->cells);
    for (size_t i = 0; row->cells && i < columns; i++) {
        const struct summary_variant *variant = grid_variant(source, i);
        size_t good = variant->processes - variant->failures;
        row->cells[i].word =
            variant->failures ? arena_printf(source->arena, "%zu of %zu", good, variant->processes)
                              : arena_printf(source->arena, "%zu", good);
        row->cells[i].failed = variant->failures > 0;
        if (!row->cells[i].word)
            return false;
    }
    return row->cells;
}

/* How many processes of each variant something outside disturbed, and counts all the same. */
static bool row_disturbed(struct grid_row *row, const struct grid_source *source)
{
    size_t columns = source->summary->variant_count;
    row->title = "Disturbed Processes";
    row->group = GROUP_TRUST;
    row->cells = arena_array(source->arena, columns + 1, sizeof *row->cells);
    for (size_t i = 0; row->cells && i < columns; i++) {
        const struct summary_variant *variant = grid_variant(source, i);
        row->cells[i].word =
            arena_printf(source->arena, "%zu of %zu", variant->disturbed, variant->processes);
        row->cells[i].failed = variant->disturbed > 0;
        if (!row->cells[i].word)
            return false;
    }
    return row->cells;
}

static bool rows_make(struct grid *grid, const struct grid_source *source, bool wide)
{
    bool failures = false;
    for (size_t i = 0; i < grid->columns; i++)
        failures |= source->summary->variants[i].failures > 0;
    grid->rows = arena_array(source->arena, METRIC_COUNT + 4 + 2 * source->summary->point_count,
                             sizeof *grid->rows);
    if (!grid->rows)
        return false;
    for (enum metric_group group = 0; group < GROUP_COUNT; group++) {
        if (group == GROUP_PRECISION && !row_precision(&grid->rows[grid->row_count++], source))
            return false;
        for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
            if (metric_infos[metric].group == group &&
                metric_shown(source->summary, metric, wide) &&
                !row_metric(&grid->rows[grid->row_count++], source, metric, NULL))
                return false;
        if (group == GROUP_TRUST && !row_equivalence(&grid->rows[grid->row_count++], source))
            return false;
        if (group == GROUP_TRUST && (wide || failures) &&
            !row_processes(&grid->rows[grid->row_count++], source))
            return false;
        if (group == GROUP_TRUST && source->summary->disturbed &&
            !row_disturbed(&grid->rows[grid->row_count++], source))
            return false;
    }
    return rows_starts(grid, source) && rows_lengths(grid, source);
}

enum status grid_make(struct grid *grid, const struct summary *summary, bool wide,
                      struct arena *arena, struct error *err)
{
    struct grid_source source = {summary, column_order(summary, arena), arena};
    *grid = (struct grid){.columns = summary->variant_count};
    size_t most_notes = summary->variant_count * (METRIC_COUNT + 1) + 1;
    grid->notes = arena_array(arena, most_notes, sizeof *grid->notes);
    bool good =
        source.order && grid->notes && rows_make(grid, &source, wide) && grid_titles(grid, &source);
    for (enum metric metric = 0; good && metric < METRIC_COUNT; metric++)
        good = !metric_shown(summary, metric, wide) || grid_missing(grid, &source, metric);
    return good ? STATUS_OK : error_no_memory(err, most_notes * sizeof *grid->notes);
}
