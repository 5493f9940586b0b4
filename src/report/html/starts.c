/* The load matrix of --cold: from the start of a process to its first token, a chart for each case.
 */
#include <math.h>

#include "report/html/lanes.h"

static const struct estimate *estimate_at(const struct summary_point *point, size_t variant)
{
    return &point->metrics[variant][METRIC_START_TO_FIRST_TOKEN];
}

static const char *cache_of(const struct summary_point *point)
{
    return point->compile_cache ? point->compile_cache : "warm";
}

/* Variants that have a bar at a point. */
static size_t known_count(const struct page *page, const struct summary_point *point)
{
    size_t count = 0;
    for (size_t i = 0; point->pages && i < page->summary->variant_count; i++)
        count += estimate_usable(estimate_at(point, i));
    return count;
}

static bool wanted(const struct page *page)
{
    for (size_t i = 0; i < page->summary->point_count; i++)
        if (known_count(page, &page->summary->points[i]))
            return true;
    return false;
}

/* Of all cases, so that charts beside each other can be compared. */
static struct axis axis_of(const struct page *page)
{
    double longest = 0;
    for (size_t i = 0; i < page->summary->point_count; i++) {
        const struct summary_point *point = &page->summary->points[i];
        for (size_t v = 0; point->pages && v < page->summary->variant_count; v++)
            if (estimate_usable(estimate_at(point, v)))
                longest =
                    fmax(longest, fmax(estimate_at(point, v)->value, estimate_at(point, v)->high));
    }
    return axis_make(0, longest, 4, false);
}

static void put_lane(struct page *page, struct lanes *lanes, size_t column,
                     const struct summary_point *point)
{
    size_t variant = page_variant(page, column);
    const struct estimate *estimate = estimate_at(point, variant);
    const char *text =
        arena_printf(page->arena, "%s s",
                     number_metric(estimate, &metric_infos[METRIC_START_TO_FIRST_TOKEN]).text);
    double band = lane_begin(page, lanes, column, text);
    svg_bar(page, "bar", 0, axis_place(&lanes->axis, estimate->value), band, LANE_BAND_HEIGHT,
            text);
    if (estimate_has_interval(estimate))
        lane_interval(page, lanes, band, estimate->low, estimate->high);
    lane_end(page);
    figure_variant(page, variant);
    fprintf(page->data, ",%s,%s,%.6g,%.6g,%.6g\n", point->pages, cache_of(point), estimate->value,
            estimate->low, estimate->high);
}

static void put_chart(struct page *page, const struct axis *axis, const struct summary_point *point)
{
    struct lanes lanes;
    const char *cache = cache_of(point);
    fputs("<div class=\"panel\"><h3>", page->stream);
    page_printf(page, "Pages %s, compile cache %s", point->pages, cache);
    fputs("</h3>\n", page->stream);
    lanes_begin(page, &lanes, known_count(page, point), axis, "s",
                arena_printf(page->arena,
                             "Bars of the time from a process's start to its first token, with "
                             "pages %s and the compile cache %s.",
                             point->pages, cache));
    for (size_t i = 0; i < page->summary->variant_count && page->data; i++)
        if (estimate_usable(estimate_at(point, page_variant(page, i))))
            put_lane(page, &lanes, i, point);
    svg_end(page);
    fputs("</div>\n", page->stream);
}

static void write(struct page *page)
{
    struct axis axis = axis_of(page);
    figure_begin(page,
                 "Mean over blocks, with its 95 % interval: the model's pages in memory (warm) or "
                 "dropped from it (cold), the engine's compile cache filled or empty.",
                 "variant,pages,compile_cache,seconds,low,high");
    fputs("<div class=\"panels\">\n", page->stream);
    for (size_t i = 0; i < page->summary->point_count; i++)
        if (known_count(page, &page->summary->points[i]))
            put_chart(page, &axis, &page->summary->points[i]);
    fputs("</div>\n", page->stream);
    figure_end(page);
}

const struct page_section section_starts = {
    .id = "starts",
    .title = "Cold and warm starts",
    .wanted = wanted,
    .write = write,
};
