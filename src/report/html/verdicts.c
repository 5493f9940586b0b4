/* Every variant against every other one, by each metric that they are compared by. */
#include "report/html/page.h"

static bool wanted(const struct page *page)
{
    return page->summary->comparison_count > 0;
}

static bool topic_known(const struct page *page, const struct topic *topic)
{
    for (size_t i = 0; i < page->summary->comparison_count; i++)
        if (page->summary->comparisons[i].metric == topic->compared)
            return true;
    return false;
}

/* Whether the variant in a column stands in any comparison by the topic. */
static bool column_known(const struct page *page, const struct topic *topic, size_t column)
{
    size_t variant = page_variant(page, column);
    for (size_t i = 0; i < page->summary->comparison_count; i++) {
        const struct comparison *comparison = &page->summary->comparisons[i];
        if (comparison->metric == topic->compared &&
            (comparison->a == variant || comparison->b == variant))
            return true;
    }
    return false;
}

static void put_name(struct page *page, const char *scope, size_t column)
{
    fprintf(page->stream, "<th scope=\"%s\"><i class=\"chip v%zu\"></i>", scope,
            column % PAGE_COLOURS);
    page_text(page, page->findings.titles[page_variant(page, column)]);
    fputs("</th>", page->stream);
}

static void put_pair(struct page *page, const struct topic *topic, size_t row, size_t column)
{
    static const char *const classes[] = {
        [VERDICT_FASTER] = "faster",       [VERDICT_SLOWER] = "slower", [VERDICT_SAME] = "same",
        [VERDICT_UNDECIDED] = "undecided", [VERDICT_NONE] = "none",
    };
    struct comparison found;
    if (row == column) {
        fputs("<td class=\"self\"></td>", page->stream);
    } else if (!comparison_find(page->summary, page_variant(page, row), page_variant(page, column),
                                topic->compared, &found)) {
        fputs("<td class=\"word\">not compared</td>", page->stream);
    } else {
        const char *words = phrase_comparison(topic, &found, NULL, page->arena);
        page->failed |= !words;
        fprintf(page->stream, "<td class=\"verdict %s\">", classes[found.verdict]);
        page_text(page, words);
        fputs("</td>", page->stream);
    }
}

static void put_matrix(struct page *page, const struct topic *topic)
{
    size_t columns = page->summary->variant_count;
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Verdicts: ",
          page->stream);
    page_text(page, topic->noun);
    fputs("\">\n<table class=\"matrix\">\n<caption>The row against the column: ", page->stream);
    page_text(page, topic->noun);
    fputs("</caption>\n<thead><tr><td></td>", page->stream);
    for (size_t i = 0; i < columns; i++)
        if (column_known(page, topic, i))
            put_name(page, "col", i);
    fputs("</tr></thead>\n<tbody>\n", page->stream);
    for (size_t i = 0; i < columns; i++) {
        if (!column_known(page, topic, i))
            continue;
        fputs("<tr>", page->stream);
        put_name(page, "row", i);
        for (size_t j = 0; j < columns; j++)
            if (column_known(page, topic, j))
                put_pair(page, topic, i, j);
        fputs("</tr>\n", page->stream);
    }
    fputs("</tbody></table>\n</div>\n", page->stream);
}

static void write(struct page *page)
{
    if (!summary_has_verdict(page->summary))
        fputs("<p class=\"hint\">Too few blocks for verdicts: these are ratios as measured.</p>\n",
              page->stream);
    for (size_t i = 0; i < TOPICS; i++) {
        if (!topic_known(page, &topics[i]))
            continue;
        fprintf(page->stream, "<details%s><summary>%s</summary>\n", i == 0 ? " open" : "",
                topics[i].label);
        put_matrix(page, &topics[i]);
        fputs("</details>\n", page->stream);
    }
}

const struct page_section section_verdicts = {
    .id = "verdicts",
    .title = "Verdicts",
    .wanted = wanted,
    .write = write,
};
