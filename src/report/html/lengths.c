/* A sweep: the time to first token and the time of a token by length, a line for each variant. */
#include <math.h>

#include "report/html/lanes.h"

enum { CHART_TOP = 14, CHART_HEIGHT = 170, DASHES = 4 };

/* Within the chart lines keep clear of the numbers at its left. */
static const double left = 0.1, right = 0.97, tick_gap = 0.07, wide_range = 4, steep_range = 12;

/* What stands across: contexts when all prompts are of one length, else prompts. */
struct sweep {
    bool by_context;
    bool grid; /* each prompt in each context: a chart for each context */
};

struct chart {
    struct sweep sweep;
    enum metric metric;
    const struct summary_point **points; /* [count], by length */
    size_t count;
    struct axis axis;
};

static bool is_swept(const struct summary_point *point)
{
    return !point->pages;
}

static size_t swept_count(const struct page *page)
{
    size_t count = 0;
    for (size_t i = 0; i < page->summary->point_count; i++)
        count += is_swept(&page->summary->points[i]);
    return count;
}

static bool wanted(const struct page *page)
{
    return swept_count(page) > 1;
}

static struct sweep sweep_of(const struct page *page)
{
    const struct summary_point *points = page->summary->points;
    bool prompts_differ = false, prompt_again = false;
    for (size_t i = 0; i < page->summary->point_count; i++)
        for (size_t j = 0; j < i && is_swept(&points[i]); j++) {
            bool same = points[i].prompt_tokens == points[j].prompt_tokens;
            prompts_differ |= is_swept(&points[j]) && !same;
            prompt_again |= is_swept(&points[j]) && same;
        }
    return (struct sweep){.by_context = !prompts_differ, .grid = prompts_differ && prompt_again};
}

static double length_of(const struct chart *chart, const struct summary_point *point)
{
    return chart->sweep.by_context ? point->context : point->prompt_tokens;
}

/* The points of a chart, by length; context 0: of all contexts. False: no memory. */
static bool points_take(struct page *page, struct chart *chart, uint32_t context)
{
    const struct summary *summary = page->summary;
    chart->points = arena_array(page->arena, summary->point_count, sizeof *chart->points);
    chart->count = 0;
    for (size_t i = 0; chart->points && i < summary->point_count; i++) {
        const struct summary_point *point = &summary->points[i];
        if (!is_swept(point) || (context && point->context != context))
            continue;
        size_t at = chart->count++;
        for (; at > 0 && length_of(chart, chart->points[at - 1]) > length_of(chart, point); at--)
            chart->points[at] = chart->points[at - 1];
        chart->points[at] = point;
    }
    return chart->points;
}

static const struct estimate *estimate_at(const struct chart *chart, size_t i, size_t variant)
{
    return &chart->points[i]->metrics[variant][chart->metric];
}

/* Of all points of the sweep, so that charts beside each other can be compared. */
static struct axis axis_of(const struct page *page, enum metric metric)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < page->summary->point_count; i++)
        for (size_t v = 0; is_swept(&page->summary->points[i]) && v < page->summary->variant_count;
             v++) {
            const struct estimate *estimate = &page->summary->points[i].metrics[v][metric];
            if (!estimate_usable(estimate))
                continue;
            low = fmin(low, estimate->low * 1e3);
            high = fmax(high, estimate->high * 1e3);
        }
    bool steep = high > steep_range * low;
    return axis_make(steep ? low : 0, high, 4, steep);
}

static double x_of(const struct chart *chart, double length)
{
    double low = length_of(chart, chart->points[0]);
    double high = length_of(chart, chart->points[chart->count - 1]);
    double place = high <= low               ? 0.5
                   : high > wide_range * low ? log(length / low) / log(high / low)
                                             : (length - low) / (high - low);
    return left + place * (right - left);
}

static double y_of(const struct chart *chart, double seconds)
{
    return 1 - axis_place(&chart->axis, seconds * 1e3);
}

/* The measured lengths, those that would run into each other left out. */
static void put_lengths(struct page *page, const struct chart *chart)
{
    double bottom = CHART_TOP + CHART_HEIGHT, before = -1;
    for (size_t i = 0; i < chart->count; i++) {
        double x = x_of(chart, length_of(chart, chart->points[i]));
        if (x - before < tick_gap)
            continue;
        before = x;
        svg_line(page, "rule", x, CHART_TOP, x, bottom);
        svg_text(page, "tick", x, bottom + 16, x > 0.9 ? SVG_END : SVG_MIDDLE,
                 arena_printf(page->arena, "%.0f", length_of(chart, chart->points[i])));
    }
}

static void put_point(struct page *page, const struct chart *chart, size_t i, size_t variant)
{
    const struct summary_point *point = chart->points[i];
    const struct estimate *estimate = estimate_at(chart, i, variant);
    double x = x_of(chart, length_of(chart, point));
    if (estimate_has_interval(estimate))
        svg_line(page, "interval", x, CHART_TOP + y_of(chart, estimate->low) * CHART_HEIGHT, x,
                 CHART_TOP + y_of(chart, estimate->high) * CHART_HEIGHT);
    svg_dot(page, "bar", x, CHART_TOP + y_of(chart, estimate->value) * CHART_HEIGHT, 3.2,
            arena_printf(page->arena, "%s, prompt of %u in a context of %u: %s ms",
                         page->findings.titles[variant], point->prompt_tokens, point->context,
                         number_metric(estimate, &metric_infos[chart->metric]).text));
    figure_variant(page, variant);
    fprintf(page->data, ",%u,%u,%.6g,%.6g,%.6g\n", point->prompt_tokens, point->context,
            estimate->value * 1e3, estimate->low * 1e3, estimate->high * 1e3);
}

static const char *line_class(struct page *page, size_t column)
{
    return arena_printf(page->arena, "curve d%zu", column % DASHES);
}

static void put_line(struct page *page, const struct chart *chart, size_t column)
{
    size_t variant = page_variant(page, column), known = 0;
    double *x = arena_array(page->arena, 2 * chart->count, sizeof *x);
    const char *class = line_class(page, column);
    if (!x || !class) {
        page->failed = true;
        return;
    }
    double *y = x + chart->count;
    for (size_t i = 0; i < chart->count; i++) {
        const struct estimate *estimate = estimate_at(chart, i, variant);
        x[i] = x_of(chart, length_of(chart, chart->points[i]));
        y[i] = estimate_usable(estimate) ? y_of(chart, estimate->value) : NAN;
        known += estimate_usable(estimate);
    }
    if (!known)
        return;
    lane_colour(page, column);
    svg_curve(page, class, CHART_TOP, CHART_HEIGHT, x, y, chart->count);
    for (size_t i = 0; i < chart->count; i++)
        if (estimate_usable(estimate_at(chart, i, variant)))
            put_point(page, chart, i, variant);
    lane_end(page);
}

static void put_chart(struct page *page, struct chart *chart, uint32_t context)
{
    if (!points_take(page, chart, context)) {
        page->failed = true;
        return;
    }
    fputs("<div class=\"panel\">", page->stream);
    if (context)
        fprintf(page->stream, "<h3>In a context of %u</h3>\n", context);
    svg_begin(page, CHART_TOP + CHART_HEIGHT + 36,
              arena_printf(page->arena,
                           "Lines of the %s by the length of the %s, one for each variant.",
                           chart->metric == METRIC_TTFT ? "time to first token" : "time of a token",
                           chart->sweep.by_context ? "context" : "prompt"));
    axis_up(page, &chart->axis, CHART_TOP, CHART_HEIGHT,
            chart->axis.logarithmic ? "ms (log)" : "ms");
    put_lengths(page, chart);
    svg_text(page, "tick", 1, CHART_TOP + CHART_HEIGHT + 32, SVG_END,
             chart->sweep.by_context ? "positions of the context" : "tokens of the prompt");
    for (size_t i = 0; i < page->summary->variant_count && page->data; i++)
        put_line(page, chart, i);
    svg_end(page);
    fputs("</div>\n", page->stream);
}

/* Whether no earlier point has this one's context. */
static bool context_new(const struct page *page, size_t index)
{
    const struct summary_point *points = page->summary->points;
    for (size_t i = 0; i < index; i++)
        if (is_swept(&points[i]) && points[i].context == points[index].context)
            return false;
    return is_swept(&points[index]);
}

static bool is_known(const struct page *page, enum metric metric, size_t variant)
{
    for (size_t i = 0; i < page->summary->point_count; i++)
        if (is_swept(&page->summary->points[i]) &&
            estimate_usable(&page->summary->points[i].metrics[variant][metric]))
            return true;
    return false;
}

/* A sample of each line with its name: colour and dashes both tell them apart. */
static void put_key(struct page *page, enum metric metric)
{
    fputs("<ul class=\"key lines\">\n", page->stream);
    for (size_t i = 0; i < page->summary->variant_count; i++) {
        size_t variant = page_variant(page, i);
        if (!is_known(page, metric, variant))
            continue;
        fprintf(page->stream,
                "<li class=\"v%zu\"><svg class=\"chart\" width=\"32\" height=\"10\" "
                "aria-hidden=\"true\"><line class=\"curve d%zu\" x1=\"0\" y1=\"5\" x2=\"32\" "
                "y2=\"5\"/></svg> ",
                i % PAGE_COLOURS, i % DASHES);
        page_text(page, page->findings.titles[variant]);
        fputs(page_differs(page, variant) ? ", not equivalent</li>\n" : "</li>\n", page->stream);
    }
    fputs("</ul>\n", page->stream);
}

static void put_figure(struct page *page, enum metric metric, const char *caption)
{
    struct chart chart = {.sweep = sweep_of(page), .metric = metric, .axis = axis_of(page, metric)};
    figure_begin(page, caption, "variant,prompt_tokens,context,ms,low,high");
    fputs("<div class=\"panels\">\n", page->stream);
    for (size_t i = 0; i < page->summary->point_count; i++)
        if (chart.sweep.grid ? context_new(page, i) : i == 0)
            put_chart(page, &chart, chart.sweep.grid ? page->summary->points[i].context : 0);
    fputs("</div>\n", page->stream);
    put_key(page, metric);
    figure_end(page);
}

static void write(struct page *page)
{
    fputs("<h3>Time to first token</h3>\n", page->stream);
    put_figure(page, METRIC_TTFT,
               "Mean over blocks at each length, with its 95 % interval: from the prompt's "
               "hand-over to a warm engine until its first token.");
    fputs("<h3>Time of a token</h3>\n", page->stream);
    put_figure(page, METRIC_TPOT,
               "Mean over blocks at each length, with its 95 % interval: a token after the "
               "warm-up (TPOT).");
}

const struct page_section section_lengths = {
    .id = "lengths",
    .title = "By length",
    .wanted = wanted,
    .write = write,
};
