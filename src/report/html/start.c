/* From the start of a process to its first token, part by part. */
#include <math.h>

#include "report/csv.h"
#include "report/html/lanes.h"

static double whole(const struct series_variant *own)
{
    double sum = 0;
    for (size_t i = 0; i < own->part_count; i++)
        sum += own->parts[i].seconds;
    return sum;
}

static bool wanted(const struct page *page)
{
    for (size_t i = 0; i < page->series.variant_count; i++)
        if (whole(&page->series.variants[i]) > 0)
            return true;
    return false;
}

static struct axis axis_of(const struct page *page, size_t *lanes)
{
    double longest = 0;
    *lanes = 0;
    for (size_t i = 0; i < page->series.variant_count; i++) {
        double own = whole(&page->series.variants[i]);
        *lanes += own > 0;
        longest = fmax(longest, own);
    }
    return axis_make(0, longest, 5, false);
}

static const char *seconds_text(struct page *page, double seconds)
{
    return arena_printf(page->arena, "%s s",
                        number_format(seconds, number_decimals(seconds, 3)).text);
}

/* Neighbours differ, and the first token looks the same everywhere. */
static const char *shade_of(const struct series_part *part, size_t index)
{
    return part->stage == STAGE_PROCESS       ? "part s0"
           : part->stage == STAGE_FIRST_TOKEN ? "part s3"
           : index % 2                        ? "part s1"
                                              : "part s2";
}

static void put_lane(struct page *page, struct lanes *lanes, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct series_variant *own = &page->series.variants[variant];
    double band = lane_begin(page, lanes, column, seconds_text(page, whole(own))), at = 0;
    for (size_t i = 0; i < own->part_count; i++) {
        const struct series_part *part = &own->parts[i];
        double x1 = axis_place(&lanes->axis, at);
        double x2 = axis_place(&lanes->axis, at + part->seconds);
        const char *tip =
            arena_printf(page->arena, "%s: %s", part->name, seconds_text(page, part->seconds));
        svg_bar(page, shade_of(part, i), x1, x2, band, LANE_BAND_HEIGHT, tip);
        at += part->seconds;
        figure_variant(page, variant);
        fputc(',', page->data);
        csv_text(page->data, page->arena, part->name);
        fprintf(page->data, ",%.6g\n", part->seconds);
    }
    lane_end(page);
}

/* The parts in words, for those whose shade does not tell: a line below each chart. */
static void put_key(struct page *page)
{
    fputs("<ul class=\"key\">\n", page->stream);
    for (size_t i = 0; i < page->series.variant_count; i++) {
        size_t variant = page_variant(page, i);
        const struct series_variant *own = &page->series.variants[variant];
        if (!(whole(own) > 0))
            continue;
        fprintf(page->stream, "<li><i class=\"chip v%zu\"></i>", i % PAGE_COLOURS);
        page_text(page, page->findings.titles[variant]);
        fputs(": ", page->stream);
        for (size_t j = 0; j < own->part_count; j++) {
            page_printf(page, "%s%s %s", j ? ", " : "", own->parts[j].name,
                        seconds_text(page, own->parts[j].seconds));
        }
        fputs("</li>\n", page->stream);
    }
    fputs("</ul>\n", page->stream);
}

static void write(struct page *page)
{
    size_t count;
    struct axis axis = axis_of(page, &count);
    struct lanes lanes;
    figure_begin(
        page,
        "Mean over blocks of each part: the process until it answers (lightest), the phases of "
        "the load as the engine names them, the first token (full colour).",
        "variant,part,seconds");
    lanes_begin(page, &lanes, count, &axis, "s",
                "Bars of the time from a process's start to its first token, cut into its parts.");
    for (size_t i = 0; i < page->series.variant_count && page->data; i++)
        if (whole(&page->series.variants[page_variant(page, i)]) > 0)
            put_lane(page, &lanes, i);
    svg_end(page);
    put_key(page);
    figure_end(page);
}

const struct page_section section_start = {
    .id = "start",
    .title = "From start to first token",
    .wanted = wanted,
    .write = write,
};
