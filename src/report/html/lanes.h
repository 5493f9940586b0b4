/* Charts of one lane for each variant above a common axis: its name and figure, and a band below
 * them to draw in. */
#ifndef PRONY_REPORT_HTML_LANES_H
#define PRONY_REPORT_HTML_LANES_H

#include "report/html/svg.h"

enum { LANE_HEIGHT = 54, LANE_BAND = 24, LANE_BAND_HEIGHT = 20 };

struct lanes {
    struct axis axis;
    size_t count, next; /* lanes, and the one to come */
};

/* label: svg_begin's. count lanes will follow. */
void lanes_begin(struct page *page, struct lanes *lanes, size_t count, const struct axis *axis,
                 const char *unit, const char *label);
/* The next lane, of the variant in a column, with a figure at its right; returns where its band
 * begins. Until lane_end shapes have the variant's colour. */
double lane_begin(struct page *page, struct lanes *lanes, size_t column, const char *figure);
void lane_end(struct page *page);
/* Gives what follows, up to lane_end, the colour of a column. */
void lane_colour(struct page *page, size_t column);
/* An interval as a whisker on a band. */
void lane_interval(struct page *page, const struct lanes *lanes, double band, double low,
                   double high);

#endif
