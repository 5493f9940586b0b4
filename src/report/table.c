/* The comparison table on a terminal: a row for each metric, a column for each variant. */
#include <string.h>

#include "report/grid.h"
#include "report/report.h"
#include "report/text.h"

enum { DEFAULT_WIDTH = 80, GAP = 2, INDENT = 2 };

static const char *const BOLD = "\033[1m", *const GREEN = "\033[1;32m", *const RED = "\033[31m",
                         *const PLAIN = "\033[0m";
static const char *const LOG_PREFIX = "    | ";

/* How wide the parts of one column's numbers are: points stand under each other. */
struct column {
    size_t whole;    /* before the point */
    size_t fraction; /* the point and what follows */
    size_t spread;   /* " ±0.14", all of it; 0: none */
    size_t width;
};

struct layout {
    const struct grid *grid;
    const struct report_options *options;
    struct column *columns;
    size_t title_width, width;
    bool spreads;
    FILE *stream;
    size_t spaces; /* due before the next text: a line never ends in one */
};

static size_t whole_width(const struct number *number)
{
    return strcspn(number->text, ".");
}

static void at_least(size_t *width, size_t wanted)
{
    if (*width < wanted)
        *width = wanted;
}

static struct column column_measure(const struct grid *grid, size_t index, bool spreads)
{
    struct column column = {.width = text_width(grid->titles[index])};
    for (size_t i = 0; i < grid->row_count; i++) {
        const struct grid_cell *cell = &grid->rows[i].cells[index];
        if (cell->word) {
            at_least(&column.width, text_width(cell->word));
            continue;
        }
        size_t whole = whole_width(&cell->value);
        at_least(&column.whole, whole);
        at_least(&column.fraction, strlen(cell->value.text) - whole);
        if (spreads && cell->spread.text[0])
            at_least(&column.spread, text_width(" ±") + strlen(cell->spread.text));
    }
    at_least(&column.width, column.whole + column.fraction + column.spread);
    return column;
}

/* Measures every column; the width of all of them side by side. */
static size_t layout_measure(struct layout *layout, bool spreads)
{
    size_t total = layout->title_width;
    layout->spreads = spreads;
    for (size_t i = 0; i < layout->grid->columns; i++) {
        layout->columns[i] = column_measure(layout->grid, i, spreads);
        total += GAP + layout->columns[i].width;
    }
    return total;
}

static void put(struct layout *layout, const char *style, const char *text)
{
    bool styled = style && layout->options->colour;
    fprintf(layout->stream, "%*s%s%s%s", (int)layout->spaces, "", styled ? style : "", text,
            styled ? PLAIN : "");
    layout->spaces = 0;
}

static void put_line_end(struct layout *layout)
{
    fputc('\n', layout->stream);
    layout->spaces = 0;
}

static void put_right(struct layout *layout, const char *style, const char *text, size_t width)
{
    size_t own = text_width(text);
    layout->spaces += GAP + (own < width ? width - own : 0);
    put(layout, style, text);
}

/* A number in its column: its point under the others', its interval beside it. */
static void put_number(struct layout *layout, const struct column *column,
                       const struct grid_cell *cell)
{
    size_t whole = whole_width(&cell->value), fraction = strlen(cell->value.text) - whole;
    size_t block = column->whole + column->fraction + column->spread;
    layout->spaces += GAP + column->width - block + column->whole - whole;
    put(layout, cell->best ? GREEN : NULL, cell->value.text);
    layout->spaces += column->fraction - fraction;
    size_t used = 0;
    if (layout->spreads && cell->spread.text[0]) {
        put(layout, NULL, " ±");
        put(layout, NULL, cell->spread.text);
        used = text_width(" ±") + strlen(cell->spread.text);
    }
    layout->spaces += column->spread - used;
}

static void put_row_title(struct layout *layout, const char *title, size_t indent)
{
    layout->spaces += indent;
    put(layout, NULL, title);
    layout->spaces += layout->title_width - indent - text_width(title);
}

/* One table: the columns from first to before end. */
static void put_table(struct layout *layout, size_t first, size_t end)
{
    const struct grid *grid = layout->grid;
    size_t width = layout->title_width;
    put_row_title(layout, "Metric", 0);
    for (size_t i = first; i < end; i++) {
        put_right(layout, BOLD, grid->titles[i], layout->columns[i].width);
        width += GAP + layout->columns[i].width;
    }
    put_line_end(layout);
    for (size_t i = 0; i < width; i++)
        put(layout, NULL, "─");
    put_line_end(layout);
    for (size_t r = 0; r < grid->row_count; r++) {
        const struct grid_row *row = &grid->rows[r];
        if (r == 0 || row->group != row[-1].group) {
            put(layout, BOLD, metric_group_titles[row->group]);
            put_line_end(layout);
        }
        put_row_title(layout, row->title, INDENT);
        for (size_t i = first; i < end; i++) {
            const struct grid_cell *cell = &row->cells[i];
            if (cell->word)
                put_right(layout, cell->failed ? RED : NULL, cell->word, layout->columns[i].width);
            else
                put_number(layout, &layout->columns[i], cell);
        }
        put_line_end(layout);
    }
}

static void put_notes(struct layout *layout)
{
    for (size_t i = 0; i < layout->grid->note_count; i++) {
        const struct grid_note *note = &layout->grid->notes[i];
        size_t indent = text_width(note->mark) + 1;
        if (i == 0)
            fputc('\n', layout->stream);
        fprintf(layout->stream, "%s ", note->mark);
        text_wrap(layout->stream, note->text, indent, indent, layout->width);
        for (const char *const *line = note->log; *line; line++) {
            fputs(LOG_PREFIX, layout->stream);
            text_wrap(layout->stream, *line, strlen(LOG_PREFIX), strlen(LOG_PREFIX), layout->width);
        }
    }
}

/* As many columns side by side as fit, the others in tables below: a line is never wrapped. */
static void put_tables(struct layout *layout)
{
    size_t columns = layout->grid->columns;
    for (size_t first = 0, end; first < columns; first = end) {
        size_t width = layout->title_width;
        for (end = first; end < columns; end++) {
            width += GAP + layout->columns[end].width;
            if (end > first && width > layout->width)
                break;
        }
        if (first > 0)
            fputc('\n', layout->stream);
        put_table(layout, first, end);
    }
}

static enum status table_write(const struct summary *summary, const struct report_options *options,
                               FILE *stream, struct error *err)
{
    struct arena arena = {0};
    struct grid grid;
    struct layout layout = {.grid = &grid, .options = options, .stream = stream};
    layout.width = options->width ? options->width : DEFAULT_WIDTH;
    enum status status = grid_make(&grid, summary, options->wide, &arena, err);
    if (status)
        goto cleanup;
    layout.columns = arena_array(&arena, grid.columns + 1, sizeof *layout.columns);
    if (!layout.columns) {
        status = error_no_memory(err, grid.columns * sizeof *layout.columns);
        goto cleanup;
    }
    layout.title_width = strlen("Metric");
    for (size_t i = 0; i < grid.row_count; i++)
        at_least(&layout.title_width, INDENT + text_width(grid.rows[i].title));
    /* Intervals where there is room for them, and always when everything is asked for. */
    if (layout_measure(&layout, true) > layout.width && !options->wide)
        layout_measure(&layout, false);
    put_tables(&layout);
    put_notes(&layout);
    if (ferror(stream))
        status = error_errno(err, "write the table");
cleanup:
    arena_free(&arena);
    return status;
}

const struct report_form report_table = {
    .name = "table",
    .about = "the comparison table: a row for each metric, a column for each variant",
    .write = table_write,
};
