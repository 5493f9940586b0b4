/* Shapes of a chart. Across, places are fractions of its width, so that a chart fits any screen
 * while its letters keep their size; downwards they are pixels. */
#ifndef PRONY_REPORT_HTML_SVG_H
#define PRONY_REPORT_HTML_SVG_H

#include "report/html/page.h"
#include "report/number.h"

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

/* label says in a sentence what there is to see: it is all that a screen reader gets. */
void svg_begin(struct page *page, double height, const char *label);
void svg_end(struct page *page);
/* Shapes carry classes of page.css; tip shows under the pointer, NULL: none. */
void svg_line(struct page *page, const char *class, double x1, double y1, double x2, double y2);
void svg_bar(struct page *page, const char *class, double x1, double x2, double y, double height,
             const char *tip);
void svg_dot(struct page *page, const char *class, double x, double y, double radius,
             const char *tip);
void svg_text(struct page *page, const char *class, double x, double y, enum svg_anchor anchor,
              const char *text);
/* A line through points [0, 1] across and downwards, stretched into a band of the chart; and the
 * area between two such lines. Points that are not numbers are left out. */
void svg_curve(struct page *page, const char *class, double top, double height, const double *x,
               const double *y, size_t count);
void svg_area(struct page *page, const char *class, double top, double height, const double *x,
              const double *low, const double *high, size_t count);

enum { AXIS_TICKS = 12 };

struct axis {
    double low, high;
    bool logarithmic;
    double ticks[AXIS_TICKS];
    size_t tick_count;
};

/* An axis that covers low to high with round numbers, in about so many steps; with logarithmic, low
 * > 0, at powers of ten where those are enough. */
struct axis axis_make(double low, double high, size_t steps, bool logarithmic);
/* Where a value stands: 0 at the low end, 1 at the high one, and never outside. */
double axis_place(const struct axis *axis, double value);
/* A tick as text. */
struct number axis_number(const struct axis *axis, double tick);
/* Rules from top to bottom at each tick, and the numbers with a unit at the last one below. */
void axis_across(struct page *page, const struct axis *axis, double top, double bottom,
                 const char *unit);
/* An axis that rises from the bottom of a band: a rule at each tick across the whole width, and its
 * number above the left end, with a unit at the highest. */
void axis_up(struct page *page, const struct axis *axis, double top, double height,
             const char *unit);

#endif
