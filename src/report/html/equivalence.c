/* What the equivalence gate found: how much of its precision's bounds each variant uses. */
#include <math.h>

#include "report/html/lanes.h"

/* Where the axis of shares ends; what lies beyond is drawn at the edge. */
static const double least = 1e-3, usual_most = 10, most = 1e3;

static const struct record_equivalence *record_of(const struct page *page, size_t variant)
{
    return &page->summary->run->equivalence[variant];
}

/* Whether there are figures: it was gated, and some logits were numbers. */
static bool is_measured(const struct page *page, size_t variant)
{
    const struct record_equivalence *record = record_of(page, variant);
    return !record->why && record->positions > record->broken;
}

static bool wanted(const struct page *page)
{
    for (size_t i = 0; page->summary->run->equivalence && i < page->summary->variant_count; i++)
        if (page->summary->variants[i].equivalence != EQUIVALENCE_UNKNOWN)
            return true;
    return false;
}

static double share(double value, double bound)
{
    return bound > 0 ? value / bound : value > 0 ? INFINITY : 0;
}

/* Before figures of a variant that told the probabilities of some ids alone. */
static const char *least_text(const struct record_equivalence *record)
{
    return record->told ? "at least " : "";
}

struct shares {
    double kl, error, ids;
};

static struct shares shares_of(const struct record_equivalence *record)
{
    return (struct shares){.kl = share(record->kl_mean, record->kl_bound),
                           .error = share(record->error_most, record->error_bound),
                           .ids = share(record->greedy_margin, equivalence_margin_bound(record))};
}

static const char *share_text(struct page *page, size_t variant)
{
    struct shares shares = shares_of(record_of(page, variant));
    double largest = fmax(shares.kl, fmax(shares.error, shares.ids));
    if (record_of(page, variant)->broken)
        return "not equivalent: logits not finite";
    if (largest > 1)
        return arena_printf(page->arena, "not equivalent: %s the bound",
                            number_ratio(largest).text);
    return arena_printf(page->arena, "equivalent: %.0f %% of the bound", largest * 100);
}

static void put_lane(struct page *page, struct lanes *lanes, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct record_equivalence *record = record_of(page, variant);
    struct shares shares = shares_of(record);
    double band = lane_begin(page, lanes, column, share_text(page, variant));
    double middle = band + LANE_BAND_HEIGHT / 2.0, bound = axis_place(&lanes->axis, 1);
    double ids = axis_place(&lanes->axis, shares.ids);
    svg_line(page, "limit", bound, band - 2, bound, band + LANE_BAND_HEIGHT + 2);
    svg_line(page, "track", 0, middle, 1, middle);
    if (record->greedy_ids)
        svg_line(page, "median", ids, band + 2, ids, band + LANE_BAND_HEIGHT - 2);
    svg_dot(page, "ring", axis_place(&lanes->axis, shares.error), middle, 5.5,
            arena_printf(page->arena,
                         "Largest logit error: %s%.2g %% of the range, of %.2g allowed",
                         least_text(record), record->error_most * 100, record->error_bound * 100));
    svg_dot(page, "bar", axis_place(&lanes->axis, shares.kl), middle, 4,
            arena_printf(page->arena, "Mean KL: %s%.2g nat, of %.2g allowed", least_text(record),
                         record->kl_mean, record->kl_bound));
    lane_end(page);
}

static void put_data(struct page *page, size_t variant)
{
    const struct record_equivalence *record = record_of(page, variant);
    figure_variant(page, variant);
    fprintf(page->data, ",%s,%u,%u,%u,%.6g,%.6g,%.6g,%.6g,%.6g,%.6g,",
            equivalence_names[page->summary->variants[variant].equivalence], record->positions,
            record->told, record->broken, record->kl_mean, record->kl_bound, record->kl_most,
            record->error_most * 100, record->error_bound * 100,
            100.0 * record->agreeing / record->positions);
    if (record->first >= 0)
        fprintf(page->data, "%lld,%.6g,", (long long)record->first, record->first_margin * 100);
    else
        fputs(",,", page->data);
    fprintf(page->data, "%u,%.6g,%.6g\n", record->greedy_ids, record->greedy_margin * 100,
            equivalence_margin_bound(record) * 100);
}

static void put_chart(struct page *page, size_t measured)
{
    double highest = usual_most;
    for (size_t i = 0; i < page->summary->variant_count; i++) {
        struct shares shares = shares_of(record_of(page, i));
        if (is_measured(page, i))
            highest = fmax(highest, fmin(fmax(shares.kl, shares.error), most));
    }
    struct axis axis = axis_make(least, highest, 5, true);
    struct lanes lanes;
    figure_begin(
        page,
        "How much of what its precision explains each variant differs from the float32 "
        "reference by. Dot: mean KL divergence. Ring: largest error of a logit. Stroke: "
        "the generated id that the reference likes least. Beyond the mark at 1 it is not "
        "equivalent, and in no ranking or verdict; what lies beyond the axis is at its end.",
        "variant,verdict,positions,ids_told,broken,mean_kl_nat,mean_kl_bound,largest_kl_nat,"
        "largest_error_percent,error_bound_percent,top1_percent,first_divergence,"
        "first_margin_percent,generated_ids,ids_margin_percent,ids_bound_percent");
    lanes_begin(page, &lanes, measured, &axis, "x (log)",
                "How far each variant lies from the reference, as a share of its bound.");
    for (size_t i = 0; i < page->summary->variant_count && page->data; i++)
        if (is_measured(page, page_variant(page, i))) {
            put_lane(page, &lanes, i);
            put_data(page, page_variant(page, i));
        }
    svg_end(page);
    figure_end(page);
}

/* The cells of a variant that was held against the reference. */
static void put_cells(struct page *page, const struct record_equivalence *record)
{
    if (record->positions > record->broken)
        fprintf(page->stream,
                "<td class=\"number\">%s%.2g <small>of %.2g</small></td>"
                "<td class=\"number\">%s%.2g %% <small>of %.2g</small></td>"
                "<td class=\"number\">%.1f %%</td>",
                least_text(record), record->kl_mean, record->kl_bound, least_text(record),
                record->error_most * 100, record->error_bound * 100,
                100.0 * record->agreeing / record->positions);
    else
        fputs("<td class=\"word\">not finite</td><td class=\"word\">not finite</td>"
              "<td class=\"word\">n/a</td>",
              page->stream);
    if (record->first >= 0)
        fprintf(page->stream, "<td class=\"number\">%lld <small>by %.2g %%</small></td>",
                (long long)record->first + 1, record->first_margin * 100);
    else
        fputs("<td class=\"word\">none</td>", page->stream);
    if (record->greedy_ids)
        fprintf(page->stream, "<td class=\"number\">%.2g %% <small>of %.2g</small></td>",
                record->greedy_margin * 100, equivalence_margin_bound(record) * 100);
    else
        fputs("<td class=\"word\">not checked</td>", page->stream);
}

static void put_row(struct page *page, size_t column)
{
    size_t variant = page_variant(page, column);
    const struct summary_variant *row = &page->summary->variants[variant];
    fprintf(page->stream, "<tr><th scope=\"row\"><i class=\"chip v%zu\"></i>",
            column % PAGE_COLOURS);
    page_text(page, page->findings.titles[variant]);
    fprintf(page->stream, "</th><td class=\"%s\">%s</td>",
            page_differs(page, variant) ? "failed" : "word", equivalence_names[row->equivalence]);
    if (row->equivalence == EQUIVALENCE_GIVEN || row->equivalence == EQUIVALENCE_FAILED)
        put_cells(page, record_of(page, variant));
    else
        fputs("<td colspan=\"5\"></td>", page->stream);
    fputs("</tr>\n", page->stream);
}

static void put_table(struct page *page)
{
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the "
          "equivalence gate\">\n"
          "<table>\n<thead><tr><th scope=\"col\">Variant</th>"
          "<th scope=\"col\" class=\"number\">Verdict</th>"
          "<th scope=\"col\" class=\"number\">Mean KL (nat)</th>"
          "<th scope=\"col\" class=\"number\">Largest error</th>"
          "<th scope=\"col\" class=\"number\">Top-1</th>"
          "<th scope=\"col\" class=\"number\">First divergence</th>"
          "<th scope=\"col\" class=\"number\">Generated ids</th></tr></thead>\n<tbody>\n",
          page->stream);
    for (size_t i = 0; i < page->summary->variant_count; i++)
        put_row(page, i);
    fputs("</tbody></table>\n</div>\n", page->stream);
}

static void put_reasons(struct page *page)
{
    for (size_t i = 0; i < page->summary->variant_count; i++) {
        size_t variant = page_variant(page, i);
        const char *reason = page->summary->variants[variant].equivalence_reason;
        if (!reason)
            continue;
        fputs("<p class=\"hint\">", page->stream);
        page_printf(page, "%s is %s: %s.", page->findings.titles[variant],
                    equivalence_names[page->summary->variants[variant].equivalence], reason);
        fputs("</p>\n", page->stream);
    }
}

static void write(struct page *page)
{
    size_t measured = 0;
    for (size_t i = 0; i < page->summary->variant_count; i++)
        measured += is_measured(page, i);
    if (measured)
        put_chart(page, measured);
    put_table(page);
    put_reasons(page);
    fputs("<details><summary>What the columns mean</summary>\n<dl>"
          "<dt>Mean KL</dt><dd>Kullback-Leibler divergence from the float32 reference's "
          "distribution of the next id, over the positions of one text; with its bound.</dd>\n"
          "<dt>Largest error</dt><dd>The largest difference of a logit, as a share of the range of "
          "the reference's logits at that position; with its bound.</dd>\n"
          "<dt>Top-1</dt><dd>Positions at which it would choose the reference's id.</dd>\n"
          "<dt>First divergence</dt><dd>The first position at which it would not, and by how much "
          "of its range the reference preferred its own there: small is a tie.</dd>\n"
          "<dt>Generated ids</dt><dd>How far below its best the reference puts the worst of the "
          "ids that were generated while they were timed; with its bound.</dd></dl></details>\n",
          page->stream);
}

const struct page_section section_equivalence = {
    .id = "equivalence",
    .title = "Equivalence",
    .wanted = wanted,
    .write = write,
};
