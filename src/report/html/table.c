/* The comparison table, the table of every metric, and what the rows mean. */
#include "report/grid.h"
#include "report/html/page.h"

static bool wanted(const struct page *page)
{
    return page->summary->variant_count > 0;
}

static void put_cell(struct page *page, const struct grid_cell *cell)
{
    fprintf(page->stream, "<td class=\"%s\">",
            cell->best     ? "number best"
            : cell->failed ? "failed"
            : cell->word   ? "word"
                           : "number");
    if (cell->word) {
        page_text(page, cell->word);
    } else {
        fputs(cell->value.text, page->stream);
        if (cell->spread.text[0])
            fprintf(page->stream, " <small>±%s</small>", cell->spread.text);
    }
    fputs("</td>", page->stream);
}

static void put_head(struct page *page, const struct grid *grid)
{
    fputs("<thead><tr><th scope=\"col\">Metric</th>", page->stream);
    for (size_t i = 0; i < grid->columns; i++) {
        fprintf(page->stream, "<th scope=\"col\" class=\"number\"><i class=\"chip v%zu\"></i>",
                i % PAGE_COLOURS);
        page_text(page, grid->titles[i]);
        fputs("</th>", page->stream);
    }
    fputs("</tr></thead>\n", page->stream);
}

static void put_grid(struct page *page, const struct grid *grid, const char *label)
{
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", page->stream);
    page_text(page, label);
    fputs("\">\n<table>\n", page->stream);
    put_head(page, grid);
    for (size_t r = 0; r < grid->row_count; r++) {
        const struct grid_row *row = &grid->rows[r];
        if (r == 0 || row->group != row[-1].group)
            fprintf(page->stream,
                    "%s<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"%zu\">%s</th>"
                    "</tr>\n",
                    r == 0 ? "" : "</tbody>\n", grid->columns + 1, metric_group_titles[row->group]);
        fputs("<tr><th scope=\"row\">", page->stream);
        page_text(page, row->title);
        fputs("</th>", page->stream);
        for (size_t i = 0; i < grid->columns; i++)
            put_cell(page, &row->cells[i]);
        fputs("</tr>\n", page->stream);
    }
    fprintf(page->stream, "%s</table>\n</div>\n", grid->row_count ? "</tbody>\n" : "");
}

static void put_notes(struct page *page, const struct grid *grid)
{
    if (!grid->note_count)
        return;
    fputs("<ul class=\"notes\">\n", page->stream);
    for (size_t i = 0; i < grid->note_count; i++) {
        fputs("<li>", page->stream);
        page_printf(page, "%s %s", grid->notes[i].mark, grid->notes[i].text);
        fputs("</li>\n", page->stream);
    }
    fputs("</ul>\n", page->stream);
}

static void put_meanings(struct page *page)
{
    fputs("<details><summary>What the rows mean</summary>\n<dl>\n", page->stream);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        fputs("<dt>", page->stream);
        page_text(page, metric_infos[metric].title);
        fputs("</dt><dd>", page->stream);
        page_text(page, metric_infos[metric].meaning);
        fputs("</dd>\n", page->stream);
    }
    fputs("</dl></details>\n", page->stream);
}

static void write(struct page *page)
{
    struct grid classic, all;
    struct error ignored;
    if (grid_make(&classic, page->summary, false, page->arena, &ignored) ||
        grid_make(&all, page->summary, true, page->arena, &ignored)) {
        page->failed = true; /* grids fail for want of memory only */
        return;
    }
    put_grid(page, &classic, "Comparison table");
    put_notes(page, &classic);
    fputs("<details><summary>Every metric</summary>\n", page->stream);
    put_grid(page, &all, "Table of every metric");
    put_notes(page, &all);
    fputs("</details>\n", page->stream);
    put_meanings(page);
}

const struct page_section section_table = {
    .id = "table",
    .title = "Comparison",
    .wanted = wanted,
    .write = write,
};
