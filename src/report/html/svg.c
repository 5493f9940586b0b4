#include "report/html/svg.h"

#include <math.h>

void svg_begin(struct page *page, double height, const char *label)
{
    fprintf(page->stream,
            "<svg class=\"chart\" width=\"100%%\" height=\"%g\" role=\"img\" aria-label=\"",
            height);
    page_text(page, label);
    fputs("\">\n", page->stream);
}

void svg_end(struct page *page)
{
    fputs("</svg>\n", page->stream);
}

/* Ends an element that may hold a tip. */
static void put_end(struct page *page, const char *element, const char *tip)
{
    if (!tip) {
        fputs("/>\n", page->stream);
        return;
    }
    fputs("><title>", page->stream);
    page_text(page, tip);
    fprintf(page->stream, "</title></%s>\n", element);
}

void svg_line(struct page *page, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(page->stream, "<line class=\"%s\" x1=\"%.2f%%\" y1=\"%g\" x2=\"%.2f%%\" y2=\"%g\"/>\n",
            class, x1 * 100, y1, x2 * 100, y2);
}

void svg_bar(struct page *page, const char *class, double x1, double x2, double y, double height,
             const char *tip)
{
    fprintf(page->stream, "<rect class=\"%s\" x=\"%.2f%%\" y=\"%g\" width=\"%.2f%%\" height=\"%g\"",
            class, x1 * 100, y, fmax(x2 - x1, 0) * 100, height);
    put_end(page, "rect", tip);
}

void svg_dot(struct page *page, const char *class, double x, double y, double radius,
             const char *tip)
{
    fprintf(page->stream, "<circle class=\"%s\" cx=\"%.2f%%\" cy=\"%.4g\" r=\"%g\"", class, x * 100,
            y, radius);
    put_end(page, "circle", tip);
}

void svg_text(struct page *page, const char *class, double x, double y, enum svg_anchor anchor,
              const char *text)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    fprintf(page->stream, "<text class=\"%s\" x=\"%.2f%%\" y=\"%g\" text-anchor=\"%s\">", class,
            x * 100, y, anchors[anchor]);
    page_text(page, text);
    fputs("</text>\n", page->stream);
}

/* Within a stretched drawing of 1000 by 1000: paths know no percentages. */
static void stretched_begin(struct page *page, double top, double height)
{
    fprintf(page->stream,
            "<svg x=\"0\" y=\"%g\" width=\"100%%\" height=\"%g\" viewBox=\"0 0 1000 1000\" "
            "preserveAspectRatio=\"none\">",
            top, height);
}

static void put_points(struct page *page, const double *x, const double *y, size_t count,
                       bool backwards, bool begin)
{
    for (size_t n = 0; n < count; n++) {
        size_t i = backwards ? count - 1 - n : n;
        if (!isfinite(x[i]) || !isfinite(y[i]))
            continue;
        fprintf(page->stream, "%s%.1f %.1f", begin ? "M" : "L", x[i] * 1000, y[i] * 1000);
        begin = false;
    }
}

void svg_curve(struct page *page, const char *class, double top, double height, const double *x,
               const double *y, size_t count)
{
    stretched_begin(page, top, height);
    fprintf(page->stream, "<path class=\"%s\" d=\"", class);
    put_points(page, x, y, count, false, true);
    fputs("\"/></svg>\n", page->stream);
}

void svg_area(struct page *page, const char *class, double top, double height, const double *x,
              const double *low, const double *high, size_t count)
{
    stretched_begin(page, top, height);
    fprintf(page->stream, "<path class=\"%s\" d=\"", class);
    put_points(page, x, low, count, false, true);
    put_points(page, x, high, count, true, false);
    fputs("Z\"/></svg>\n", page->stream);
}
