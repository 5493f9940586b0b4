/* The time of each token in order, from the warm-up to the steady state: a panel for each
 * variant. */
#include <math.h>

#include "report/html/lanes.h"

enum { PANEL_TOP = 12, PANEL_HEIGHT = 96 };

static bool wanted(const struct page *page)
{
    for (size_t i = 0; i < page->series.variant_count; i++)
        if (page->series.variants[i].token_count > 1)
            return true;
    return false;
}

/* From zero to the highest median, so that a single token does not press all others flat. */
static struct axis axis_of(const struct series_variant *own)
{
    double high = 0;
    for (size_t i = 0; i < own->token_count; i++)
        high = fmax(high, own->tokens[i].median * 1e3);
    return axis_make(0, high * 1.1, 3, false);
}

static double height_of(const struct axis *axis, double seconds)
{
    return 1 - axis_place(axis, seconds * 1e3);
}

static void put_curves(struct page *page, const struct axis *axis, const struct series_variant *own)
{
    size_t count = own->token_count;
    double *x = arena_array(page->arena, 4 * count, sizeof *x);
    if (!x) {
        page->failed = true;
        return;
    }
    double *low = x + count, *middle = low + count, *high = middle + count;
    for (size_t i = 0; i < count; i++) {
        x[i] = (double)i / (double)(count - 1);
        low[i] = height_of(axis, own->tokens[i].low);
        middle[i] = height_of(axis, own->tokens[i].median);
        high[i] = height_of(axis, own->tokens[i].high);
    }
    svg_area(page, "spread", PANEL_TOP, PANEL_HEIGHT, x, low, high, count);
    svg_curve(page, "curve", PANEL_TOP, PANEL_HEIGHT, x, middle, count);
}

static void put_panel(struct page *page, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct series_variant *own = &page->series.variants[variant];
    struct axis axis = axis_of(own);
    double last = (double)(own->token_count - 1);
    double warm = fmin(((double)own->warmup - 0.5) / last, 1), bottom = PANEL_TOP + PANEL_HEIGHT;
    fputs("<div class=\"panel\"><h3>", page->stream);
    fprintf(page->stream, "<i class=\"chip v%zu\"></i>", column % PAGE_COLOURS);
    page_text(page, page->findings.titles[variant]);
    fputs("</h3>\n", page->stream);
    svg_begin(page, bottom + 20,
              "The time of each token in order: the median over the blocks as a "
              "line, the range as a band.");
    lane_colour(page, column);
    if (warm > 0)
        svg_bar(page, "warmup", 0, warm, PANEL_TOP, PANEL_HEIGHT, "Warm-up: does not count");
    put_curves(page, &axis, own);
    axis_up(page, &axis, PANEL_TOP, PANEL_HEIGHT, "ms");
    svg_text(page, "tick", 0, bottom + 15, SVG_START, warm > 0.12 ? "warm-up" : "");
    svg_text(page, "tick", 1, bottom + 15, SVG_END,
             arena_printf(page->arena, "token %zu", own->token_count));
    lane_end(page);
    svg_end(page);
    fputs("</div>\n", page->stream);
    for (size_t i = 0; i < own->token_count; i++) {
        figure_variant(page, variant);
        fprintf(page->data, ",%zu,%d,%.6g,%.6g,%.6g\n", i + 1, i >= own->warmup,
                own->tokens[i].median * 1e3, own->tokens[i].low * 1e3, own->tokens[i].high * 1e3);
    }
}

static void write(struct page *page)
{
    figure_begin(page,
                 "Line: the median over blocks of each token after the first. Band: from the "
                 "fastest to the slowest block. Shaded: warm-up, which no figure counts. Each "
                 "panel has a scale of its own.",
                 "variant,token,counted,median_ms,low_ms,high_ms");
    fputs("<div class=\"panels\">\n", page->stream);
    for (size_t i = 0; i < page->series.variant_count && page->data; i++)
        if (page->series.variants[page_variant(page, i)].token_count > 1)
            put_panel(page, i);
    fputs("</div>\n", page->stream);
    figure_end(page);
}

const struct page_section section_tokens = {
    .id = "tokens",
    .title = "From warm-up to steady state",
    .wanted = wanted,
    .write = write,
};
