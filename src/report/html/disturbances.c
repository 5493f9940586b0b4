/* What else the machine did while it was measured: blocks that were done again, and those that
 * count though something disturbed them. */
#include "report/html/page.h"

enum { MOST = 10, SHOWN = 6 }; /* a longer list is folded behind its beginning */

static bool wanted(const struct page *page)
{
    return page->series.disturbance_count > 0;
}

static void put_table(struct page *page, size_t first, size_t end, const char *label)
{
    fprintf(page->stream,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"%s\">\n"
            "<table>\n<thead><tr><th scope=\"col\">Block</th><th scope=\"col\">Variant</th>"
            "<th scope=\"col\">Then</th><th scope=\"col\">What disturbed it</th></tr></thead>\n"
            "<tbody>\n",
            label);
    for (size_t i = first; i < end; i++) {
        const struct series_disturbance *disturbance = &page->series.disturbances[i];
        fprintf(page->stream, "<tr><th scope=\"row\">%zu</th><td>", disturbance->block + 1);
        page_text(page, page->findings.titles[disturbance->variant]);
        fprintf(page->stream, "</td><td>%s</td><td>",
                disturbance->counts ? "counts as it is" : "done again");
        page_text(page, disturbance->what);
        fputs("</td></tr>\n", page->stream);
    }
    fputs("</tbody></table>\n</div>\n", page->stream);
}

static void write(struct page *page)
{
    size_t count = page->series.disturbance_count, shown = count > MOST ? SHOWN : count;
    fprintf(page->stream,
            "<p class=\"hint\">Attempts that were done again: %zu. Blocks that count and were "
            "disturbed all the same: %zu.</p>\n",
            page->summary->redone, page->summary->disturbed);
    put_table(page, 0, shown, "Disturbed processes");
    if (shown == count)
        return;
    fprintf(page->stream, "<details><summary>%zu more</summary>\n", count - shown);
    put_table(page, shown, count, "More disturbed processes");
    fputs("</details>\n", page->stream);
}

const struct page_section section_disturbances = {
    .id = "disturbances",
    .title = "Disturbances",
    .wanted = wanted,
    .write = write,
};
