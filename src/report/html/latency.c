/* How the time of a token is spread: every token, the box over all of them, each block's median. */
#include <math.h>

#include "report/html/lanes.h"

enum { TOKENS_SHOWN = 300, WIDE_RANGE = 12 };

static bool has_tokens(const struct page *page, size_t variant)
{
    return page->series.variants[variant].lowest > 0;
}

static bool wanted(const struct page *page)
{
    for (size_t i = 0; i < page->series.variant_count; i++)
        if (has_tokens(page, i))
            return true;
    return false;
}

static struct axis axis_of(const struct page *page, size_t *lanes)
{
    double low = INFINITY, high = 0;
    *lanes = 0;
    for (size_t i = 0; i < page->series.variant_count; i++) {
        if (!has_tokens(page, i))
            continue;
        ++*lanes;
        low = fmin(low, page->series.variants[i].lowest * 1e3);
        high = fmax(high, page->series.variants[i].highest * 1e3);
    }
    return axis_make(low, high, 5, high > WIDE_RANGE * low);
}

/* A spread that looks random and is the same each time: the golden section never repeats. */
static double jitter(size_t n)
{
    double place = (double)n * 0.6180339887498949;
    return place - floor(place);
}

/* The strip: tokens as dots, of very many every so manieth. */
static void put_tokens(struct page *page, const struct lanes *lanes, double band,
                       const struct series_variant *own)
{
    size_t count = 0, n = 0;
    for (size_t i = 0; i < own->block_count; i++)
        count += own->blocks[i].step_count;
    size_t every = count / TOKENS_SHOWN + 1;
    for (size_t i = 0; i < own->block_count; i++)
        for (size_t j = 0; j < own->blocks[i].step_count; j++, n++)
            if (n % every == 0)
                svg_dot(page, "token", axis_place(&lanes->axis, own->blocks[i].steps[j] * 1e3),
                        band + 2 + jitter(n) * (LANE_BAND_HEIGHT - 4), 1.6, NULL);
}

static void put_box(struct page *page, const struct lanes *lanes, double band,
                    const struct series_variant *own)
{
    const struct axis *axis = &lanes->axis;
    double middle = axis_place(axis, own->median * 1e3);
    svg_bar(page, "box", axis_place(axis, own->quarter * 1e3),
            axis_place(axis, own->three_quarters * 1e3), band, LANE_BAND_HEIGHT,
            arena_printf(page->arena, "Half of all tokens: %.4g to %.4g ms", own->quarter * 1e3,
                         own->three_quarters * 1e3));
    svg_line(page, "median", middle, band - 2, middle, band + LANE_BAND_HEIGHT + 2);
}

static void put_blocks(struct page *page, const struct lanes *lanes, double band, size_t variant)
{
    const struct series_variant *own = &page->series.variants[variant];
    for (size_t i = 0; i < own->block_count; i++) {
        const struct series_block *block = &own->blocks[i];
        double place = (double)(i + 1) / (double)(own->block_count + 1);
        if (!(block->median > 0))
            continue;
        svg_dot(page, "block", axis_place(&lanes->axis, block->median * 1e3),
                band + place * LANE_BAND_HEIGHT, 3.5,
                arena_printf(page->arena, "Block %zu: median %.4g ms", block->block + 1,
                             block->median * 1e3));
        for (size_t j = 0; j < block->step_count; j++) {
            figure_variant(page, variant);
            fprintf(page->data, ",%zu,%zu,%.6g\n", block->block + 1, j + 1, block->steps[j] * 1e3);
        }
    }
}

static void write(struct page *page)
{
    size_t count;
    struct axis axis = axis_of(page, &count);
    struct lanes lanes;
    figure_begin(page,
                 "Small dots: single tokens after the warm-up. Box: the middle half of them, with "
                 "their median. Ringed dots: the median of each block's process, which comparisons "
                 "are made from.",
                 "variant,block,token,ms");
    lanes_begin(page, &lanes, count, &axis, axis.logarithmic ? "ms (log)" : "ms",
                "Strip and box plots of the time of a token, one lane for each variant.");
    for (size_t i = 0; i < page->series.variant_count && page->data; i++) {
        size_t variant = page_variant(page, i);
        const struct series_variant *own = &page->series.variants[variant];
        if (!has_tokens(page, variant))
            continue;
        double band = lane_begin(
            page, &lanes, i,
            arena_printf(
                page->arena, "median %s ms",
                number_format(own->median * 1e3, number_decimals(own->median * 1e3, 2)).text));
        put_tokens(page, &lanes, band, own);
        put_box(page, &lanes, band, own);
        put_blocks(page, &lanes, band, variant);
        lane_end(page);
    }
    svg_end(page);
    figure_end(page);
}

const struct page_section section_latency = {
    .id = "latency",
    .title = "Time of a token",
    .wanted = wanted,
    .write = write,
};
