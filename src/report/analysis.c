/* What the figures say, in sentences: each is made from figures and says how sure they are. */
#include <string.h>

#include "report/report.h"
#include "report/story.h"
#include "report/text.h"

enum { DEFAULT_WIDTH = 80, READABLE_WIDTH = 100, LABEL_WIDTH = 14, INDENT = 2 };

struct page {
    FILE *stream;
    bool colour;
    size_t width;
};

static void put_bold(const struct page *page, const char *text, size_t width)
{
    fputs(page->colour ? "\033[1m" : "", page->stream);
    text_pad(page->stream, text, width, TEXT_LEFT);
    fputs(page->colour ? "\033[0m" : "", page->stream);
}

/* A paragraph behind its label. */
static void put_paragraph(const struct page *page, const char *label, const char *text)
{
    fprintf(page->stream, "%*s", INDENT, "");
    put_bold(page, label, LABEL_WIDTH);
    text_wrap(page->stream, text, INDENT + LABEL_WIDTH, INDENT + LABEL_WIDTH, page->width);
}

/* One item of a list, whose label stands beside the first. */
static void put_item(const struct page *page, const char **label, const char *text)
{
    fprintf(page->stream, "%*s", INDENT, "");
    put_bold(page, *label, LABEL_WIDTH);
    fputs("- ", page->stream);
    text_wrap(page->stream, text, INDENT + LABEL_WIDTH + 2, INDENT + LABEL_WIDTH + 2, page->width);
    *label = "";
}

static void put_story(const struct page *page, const struct story *story)
{
    put_bold(page, "Analysis", 0);
    text_wrap(page->stream, story->scope, strlen("Analysis"), INDENT, page->width);
    if (*story->key)
        fprintf(page->stream, "%*s%s\n", INDENT, "", story->key);
    for (size_t i = 0; i < story->paragraph_count; i++)
        put_paragraph(page, story->paragraphs[i].label, story->paragraphs[i].text);
    const char *label = "Not proven";
    for (size_t i = 0; i < story->unproven_count; i++)
        put_item(page, &label, story->unproven[i]);
}

static enum status analysis_write(const struct summary *summary,
                                  const struct report_options *options, FILE *stream,
                                  struct error *err)
{
    struct page page = {stream, options->colour, options->width ? options->width : DEFAULT_WIDTH};
    if (page.width > READABLE_WIDTH)
        page.width = READABLE_WIDTH;
    struct arena arena = {0};
    struct findings findings;
    struct story story;
    findings_init(&findings, summary, &arena);
    enum status status = story_make(&story, &findings, err);
    if (!status)
        put_story(&page, &story);
    if (!status && ferror(stream))
        status = error_errno(err, "write the analysis");
    arena_free(&arena);
    return status;
}

const struct report_form report_analysis = {
    .name = "analysis",
    .about = "what the figures say, in sentences",
    .write = analysis_write,
};
