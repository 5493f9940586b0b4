/* Tokens per second, each held against what its weights and the memory's bandwidth allow. */
#include <math.h>

#include "report/html/lanes.h"
#include "report/phrase.h"

static bool wanted(const struct page *page)
{
    return page_knows(page, METRIC_THROUGHPUT);
}

static double highest_rate(const struct page *page)
{
    double highest = 0;
    for (size_t i = 0; i < page->summary->variant_count; i++) {
        const struct estimate *rate = &page->summary->variants[i].metrics[METRIC_THROUGHPUT];
        if (rate->known)
            highest = fmax(highest, fmax(rate->high, page->series.variants[i].limit_rate));
    }
    return highest;
}

static void put_lane(struct page *page, struct lanes *lanes, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct summary_variant *row = &page->summary->variants[variant];
    const struct estimate *rate = &row->metrics[METRIC_THROUGHPUT];
    const struct estimate *share = &row->metrics[METRIC_LIMIT_SHARE];
    double limit = page->series.variants[variant].limit_rate;
    const char *text = arena_printf(
        page->arena, "%s tok/s%s", number_metric(rate, &metric_infos[METRIC_THROUGHPUT]).text,
        limit > 0 ? arena_printf(page->arena, ", %.0f %% of limit", share->value * 100) : "");
    double band = lane_begin(page, lanes, column, text);
    if (limit > 0)
        svg_bar(page, "possible", 0, axis_place(&lanes->axis, limit), band, LANE_BAND_HEIGHT,
                arena_printf(page->arena, "The limit: %.1f tok/s", limit));
    svg_bar(page, "bar", 0, axis_place(&lanes->axis, rate->value), band + 3, LANE_BAND_HEIGHT - 6,
            phrase_figure(rate, METRIC_THROUGHPUT, page->arena));
    if (estimate_has_interval(rate))
        lane_interval(page, lanes, band, rate->low, rate->high);
    if (limit > 0) {
        double x = axis_place(&lanes->axis, limit);
        svg_line(page, "limit", x, band - 2, x, band + LANE_BAND_HEIGHT + 2);
    }
    lane_end(page);
    figure_variant(page, variant);
    fprintf(page->data, ",%.6g,%.6g,%.6g,", rate->value, rate->low, rate->high);
    if (limit > 0)
        fprintf(page->data, "%.6g,%.4g", limit, share->value * 100);
    else
        fputc(',', page->data);
    fputc('\n', page->data);
}

static void write(struct page *page)
{
    const struct summary *summary = page->summary;
    struct axis axis = axis_make(0, highest_rate(page), 5, false);
    struct lanes lanes;
    size_t known = 0;
    for (size_t i = 0; i < summary->variant_count; i++)
        known += summary->variants[i].metrics[METRIC_THROUGHPUT].known;
    figure_begin(
        page,
        "Bar: average throughput with its 95 % interval. Mark: the limit, what reading the "
        "weights and the KV cache at the bandwidth probed in the same blocks allows.",
        "variant,tokens_per_second,low,high,limit_tokens_per_second,percent_of_limit");
    lanes_begin(page, &lanes, known, &axis, "tok/s",
                "Bars of tokens per second for each variant, with a mark at its memory limit.");
    for (size_t i = 0; i < summary->variant_count && page->data; i++)
        if (summary->variants[page_variant(page, i)].metrics[METRIC_THROUGHPUT].known)
            put_lane(page, &lanes, i);
    svg_end(page);
    figure_end(page);
}

const struct page_section section_limit = {
    .id = "throughput",
    .title = "Throughput against the limit",
    .wanted = wanted,
    .write = write,
};
