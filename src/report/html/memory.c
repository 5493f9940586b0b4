/* What the memory's peak holds: the weights, and what is besides. */
#include <math.h>

#include "report/html/lanes.h"
#include "report/phrase.h"

static bool wanted(const struct page *page)
{
    return page_knows(page, METRIC_PEAK_MEMORY);
}

static void put_lane(struct page *page, struct lanes *lanes, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct estimate *figures = page->summary->variants[variant].metrics;
    const struct estimate *peak = &figures[METRIC_PEAK_MEMORY];
    const struct estimate *weights = &figures[METRIC_WEIGHTS];
    double held = weights->known ? fmin(weights->value, peak->value) : 0;
    double band =
        lane_begin(page, lanes, column,
                   arena_printf(page->arena, "%s GB",
                                number_metric(peak, &metric_infos[METRIC_PEAK_MEMORY]).text));
    double middle = axis_place(&lanes->axis, held * 1e-9);
    svg_bar(page, "part s1", middle, axis_place(&lanes->axis, peak->value * 1e-9), band,
            LANE_BAND_HEIGHT, phrase_figure(peak, METRIC_PEAK_MEMORY, page->arena));
    if (held > 0)
        svg_bar(page, "part s3", 0, middle, band, LANE_BAND_HEIGHT,
                arena_printf(page->arena, "Weights: %.3g GB", held * 1e-9));
    if (estimate_has_interval(peak))
        lane_interval(page, lanes, band, peak->low * 1e-9, peak->high * 1e-9);
    lane_end(page);
    figure_variant(page, variant);
    fprintf(page->data, ",%.6g,%.6g,%.6g,", peak->value * 1e-9, peak->low * 1e-9,
            peak->high * 1e-9);
    if (weights->known)
        fprintf(page->data, "%.6g", weights->value * 1e-9);
    fputc('\n', page->data);
}

static void write(struct page *page)
{
    const struct summary *summary = page->summary;
    double most = 0;
    size_t count = 0;
    for (size_t i = 0; i < summary->variant_count; i++) {
        const struct estimate *peak = &summary->variants[i].metrics[METRIC_PEAK_MEMORY];
        count += peak->known;
        most = peak->known ? fmax(most, peak->high * 1e-9) : most;
    }
    struct axis axis = axis_make(0, most, 5, false);
    struct lanes lanes;
    figure_begin(page,
                 "Dark: the weights as the engine holds them. Light: everything else at the "
                 "peak.",
                 "variant,peak_gb,low_gb,high_gb,weights_gb");
    lanes_begin(page, &lanes, count, &axis, "GB",
                "Bars of the peak memory of each variant, the weights apart from the rest.");
    for (size_t i = 0; i < summary->variant_count && page->data; i++)
        if (summary->variants[page_variant(page, i)].metrics[METRIC_PEAK_MEMORY].known)
            put_lane(page, &lanes, i);
    svg_end(page);
    figure_end(page);
}

const struct page_section section_memory = {
    .id = "memory",
    .title = "Memory",
    .wanted = wanted,
    .write = write,
};
