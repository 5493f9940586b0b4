/* The comparison table in GitHub-flavoured Markdown, with its notes. */
#include <string.h>

#include "report/facts.h"
#include "report/grid.h"
#include "report/report.h"

/* Text that Markdown, and HTML within it, would take for markup. */
static void put_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", stream);
        else if (*text == '&')
            fputs("&amp;", stream);
        else if (strchr("|*_`[]\\~#", *text))
            fprintf(stream, "\\%c", *text);
        else
            fputc(*text, stream);
    }
}

static void put_cell(FILE *stream, const struct grid_cell *cell)
{
    const char *bold = cell->best ? "**" : "";
    fputs(" ", stream);
    if (cell->word)
        put_text(stream, cell->word);
    else
        fprintf(stream, "%s%s%s%s%s", bold, cell->value.text, bold,
                cell->spread.text[0] ? " ±" : "", cell->spread.text);
    fputs(" |", stream);
}

static void put_grid(FILE *stream, const struct grid *grid)
{
    fputs("| Metric |", stream);
    for (size_t i = 0; i < grid->columns; i++) {
        fputs(" ", stream);
        put_text(stream, grid->titles[i]);
        fputs(" |", stream);
    }
    fputs("\n| :--- |", stream);
    for (size_t i = 0; i < grid->columns; i++)
        fputs(" ---: |", stream);
    fputc('\n', stream);
    for (size_t r = 0; r < grid->row_count; r++) {
        fputs("| ", stream);
        put_text(stream, grid->rows[r].title);
        fputs(" |", stream);
        for (size_t i = 0; i < grid->columns; i++)
            put_cell(stream, &grid->rows[r].cells[i]);
        fputc('\n', stream);
    }
    for (size_t i = 0; i < grid->note_count; i++) {
        fputs(i == 0 ? "\n- " : "- ", stream);
        put_text(stream, grid->notes[i].mark);
        fputs(" ", stream);
        put_text(stream, grid->notes[i].text);
        fputc('\n', stream);
    }
}

static enum status markdown_write(const struct summary *summary,
                                  const struct report_options *options, FILE *stream,
                                  struct error *err)
{
    struct arena arena = {0};
    struct grid grid;
    struct run_facts facts;
    enum status status = run_facts_make(&facts, summary->run, &arena, err);
    if (!status)
        status = grid_make(&grid, summary, options->wide, &arena, err);
    if (!status && !facts.fair)
        fputs("This is no fair comparison: each engine had its own threads and context.\n\n",
              stream);
    if (!status)
        put_grid(stream, &grid);
    if (!status && ferror(stream))
        status = error_errno(err, "write the Markdown");
    arena_free(&arena);
    return status;
}

const struct report_form report_markdown = {
    .name = "md",
    .extension = ".md",
    .about = "the comparison table for GitHub",
    .write = markdown_write,
};
