#include "report/html/lanes.h"

#include "report/text.h"

enum { TITLE_WIDTH = 24, SWATCH_RADIUS = 5 };

/* The lane's name; that of a variant which computes something else says so. */
static const char *title_of(struct page *page, size_t variant)
{
    static const char flag[] = " ≠";
    bool differs = page_differs(page, variant);
    const char *title = text_fit(page->arena, page->findings.titles[variant],
                                 differs ? TITLE_WIDTH - 2 : TITLE_WIDTH);
    return differs && title ? arena_printf(page->arena, "%s%s", title, flag) : title;
}

void lanes_begin(struct page *page, struct lanes *lanes, size_t count, const struct axis *axis,
                 const char *unit, const char *label)
{
    double bottom = (double)count * LANE_HEIGHT;
    *lanes = (struct lanes){.axis = *axis, .count = count};
    svg_begin(page, bottom + LANE_BAND, label);
    axis_across(page, axis, LANE_BAND - 4, bottom, unit);
}

void lane_colour(struct page *page, size_t column)
{
    fprintf(page->stream, "<g class=\"v%zu\">\n", column % PAGE_COLOURS);
}

double lane_begin(struct page *page, struct lanes *lanes, size_t column, const char *figure)
{
    double top = (double)lanes->next++ * LANE_HEIGHT;
    lane_colour(page, column);
    svg_dot(page, "swatch", 0, top + 11, SWATCH_RADIUS, NULL);
    svg_text(page, "name", 0, top + 15, SVG_START, title_of(page, page_variant(page, column)));
    svg_text(page, "figure", 1, top + 15, SVG_END, figure);
    return top + LANE_BAND;
}

void lane_end(struct page *page)
{
    fputs("</g>\n", page->stream);
}

void lane_interval(struct page *page, const struct lanes *lanes, double band, double low,
                   double high)
{
    double middle = band + LANE_BAND_HEIGHT / 2.0;
    double x1 = axis_place(&lanes->axis, low), x2 = axis_place(&lanes->axis, high);
    svg_line(page, "whisker", x1, middle, x2, middle);
    svg_line(page, "whisker", x1, middle - 4, x1, middle + 4);
    svg_line(page, "whisker", x2, middle - 4, x2, middle + 4);
}
