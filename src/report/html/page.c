#include "report/html/page.h"

#include <stdarg.h>
#include <stdlib.h>

#include "report/csv.h"
#include "report/text.h"

/* Entities for all that could end or begin markup, in text and in either kind of quotes. */
static void put_escaped(FILE *stream, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            fputs("&amp;", stream);
            break;
        case '<':
            fputs("&lt;", stream);
            break;
        case '>':
            fputs("&gt;", stream);
            break;
        case '"':
            fputs("&quot;", stream);
            break;
        case '\'':
            fputs("&#39;", stream);
            break;
        default:
            fputc(*text, stream);
        }
    }
}

void page_text(struct page *page, const char *text)
{
    const char *clean = text_clean(page->arena, text);
    page->failed |= !clean;
    put_escaped(page->stream, clean ? clean : "");
}

void page_printf(struct page *page, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int bytes = vasprintf(&text, format, args);
    va_end(args);
    page->failed |= bytes < 0;
    if (bytes >= 0) {
        page_text(page, text);
        free(text);
    }
}

void figure_begin(struct page *page, const char *caption, const char *columns)
{
    fputs("<figure>\n<figcaption>", page->stream);
    page_text(page, caption);
    fputs("</figcaption>\n", page->stream);
    page->data = open_memstream(&page->data_text, &page->data_bytes);
    if (page->data)
        fprintf(page->data, "%s\n", columns);
    else
        page->failed = true;
}

void figure_variant(struct page *page, size_t variant)
{
    if (page->data)
        csv_text(page->data, page->arena, page->findings.titles[variant]);
}

/* The numbers stay readable without the script, which only adds a button that copies them. */
void figure_end(struct page *page)
{
    if (page->data && (fflush(page->data) || ferror(page->data)))
        page->failed = true;
    if (page->data && fclose(page->data) == 0) {
        fputs("<details class=\"data\"><summary>Numbers (CSV)</summary>\n"
              "<pre tabindex=\"0\">",
              page->stream);
        put_escaped(page->stream, page->data_text);
        fputs("</pre></details>\n", page->stream);
        free(page->data_text);
    }
    page->data = NULL;
    page->data_text = NULL;
    fputs("</figure>\n", page->stream);
}

size_t page_variant(const struct page *page, size_t column)
{
    return page->findings.order[column];
}

bool page_differs(const struct page *page, size_t variant)
{
    return page->summary->variants[variant].equivalence == EQUIVALENCE_FAILED;
}

bool page_knows(const struct page *page, enum metric metric)
{
    for (size_t i = 0; i < page->summary->variant_count; i++)
        if (page->summary->variants[i].metrics[metric].known)
            return true;
    return false;
}
