/* The notes under a table: why a column has no figures, and why a figure is missing. */
#include <string.h>

#include "report/grid_parts.h"
#include "report/text.h"

enum { LOG_LINES = 3, LOG_WIDTH = 400 };

/* The last lines of a worker's output, cleaned; a list that NULL ends. */
static const char *const *log_lines(struct arena *arena, const char *log)
{
    const char **lines = arena_array(arena, LOG_LINES + 1, sizeof *lines);
    const char *end = log ? log + strlen(log) : NULL;
    size_t first = LOG_LINES;
    while (lines && log && end > log && first > 0) {
        const char *start = end;
        while (start > log && start[-1] != '\n')
            start--;
        if (end > start) {
            size_t bytes = (size_t)(end - start) < LOG_WIDTH ? (size_t)(end - start) : LOG_WIDTH;
            const char *line = arena_strndup(arena, start, bytes);
            lines[--first] = line ? text_clean(arena, line) : NULL;
            if (!lines[first])
                return NULL;
        }
        end = start > log ? start - 1 : log;
    }
    return lines ? lines + first : NULL;
}

/* The note of a variant that failed, now and then or always, or could not run at all. */
static const char *variant_note(const struct grid_source *source, size_t column, const char *title)
{
    const struct summary_variant *variant = grid_variant(source, column);
    const char *why = text_clean(source->arena, variant->why ? variant->why : "no reason is known");
    if (!why)
        return NULL;
    if (variant->processes == 0)
        return arena_printf(source->arena, "%s did not run: %s", title, why);
    if (!grid_failed(variant))
        return arena_printf(source->arena, "%s failed in %zu of %zu processes: %s", title,
                            variant->failures, variant->processes, why);
    if (variant->processes == 1)
        return arena_printf(source->arena, "%s failed: %s", title, why);
    return arena_printf(source->arena, "%s failed in all of its %zu processes: %s", title,
                        variant->processes, why);
}

bool grid_titles(struct grid *grid, const struct grid_source *source)
{
    grid->titles = arena_array(source->arena, grid->columns + 1, sizeof *grid->titles);
    for (size_t i = 0; grid->titles && i < grid->columns; i++) {
        const struct summary_variant *variant = grid_variant(source, i);
        const char *title = variant_title(variant->variant, source->arena);
        const char *fitted = title ? text_fit(source->arena, title, GRID_TITLE_WIDTH) : NULL;
        if (!fitted)
            return false;
        grid->titles[i] = fitted;
        bool other = variant->equivalence == EQUIVALENCE_FAILED;
        if (variant->failures == 0 && variant->processes > 0 && !other)
            continue;
        struct grid_note *note = &grid->notes[grid->note_count++];
        note->mark = arena_printf(source->arena, "[%zu]", grid->note_count);
        note->text = other ? arena_printf(source->arena, "%s is NOT EQUIVALENT, and not ranked: %s",
                                          title, variant->equivalence_reason)
                           : variant_note(source, i, title);
        note->log = log_lines(source->arena, variant->log_tail);
        if (!note->mark || !note->text || !note->log)
            return false;
        grid->titles[i] = arena_printf(source->arena, "%s %s", fitted, note->mark);
        if (!grid->titles[i])
            return false;
    }
    return grid->titles;
}

/* The columns where a metric is missing for the reason that the first of them gives. */
static const char *missing_names(const struct grid_source *source, enum metric metric, size_t first)
{
    size_t columns = source->summary->variant_count, known = 0, others = 0;
    const char *why = grid_variant(source, first)->metrics[metric].why, *names = "";
    for (size_t i = 0; names && i < columns; i++) {
        const struct summary_variant *variant = grid_variant(source, i);
        const struct estimate *estimate = &variant->metrics[metric];
        if (estimate_usable(estimate)) {
            known++;
        } else if (estimate->why && strcmp(estimate->why, why) == 0) {
            const char *title = variant_title(variant->variant, source->arena);
            names = title ? arena_printf(source->arena, "%s%s%s", names, *names ? ", " : ", for ",
                                         title)
                          : NULL;
        } else if (!grid_failed(variant) && variant->processes > 0) {
            others++;
        }
    }
    return known || others ? names : "";
}

/* A note for each reason why a metric of the grid is not available. */
bool grid_missing(struct grid *grid, const struct grid_source *source, enum metric metric)
{
    for (size_t i = 0; i < grid->columns; i++) {
        const struct estimate *estimate = &grid_variant(source, i)->metrics[metric];
        bool said =
            estimate_usable(estimate) || !estimate->why || grid_failed(grid_variant(source, i));
        for (size_t j = 0; j < i && !said; j++) {
            const struct estimate *earlier = &grid_variant(source, j)->metrics[metric];
            said = !estimate_usable(earlier) && earlier->why &&
                   strcmp(earlier->why, estimate->why) == 0;
        }
        if (said)
            continue;
        const char *names = missing_names(source, metric, i);
        const char *why = text_clean(source->arena, estimate->why);
        struct grid_note *note = &grid->notes[grid->note_count++];
        static const char *const no_log[] = {NULL};
        *note = (struct grid_note){"n/a", NULL, no_log};
        if (names && why)
            note->text =
                arena_printf(source->arena, "%s%s: %s", metric_infos[metric].title, names, why);
        if (!note->text)
            return false;
    }
    return true;
}
