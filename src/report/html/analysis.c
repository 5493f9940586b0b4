/* What the figures say in sentences, and what is not proven. */
#include "report/html/page.h"

static bool wanted(const struct page *page)
{
    return page->story.paragraph_count > 0 || page->story.unproven_count > 0;
}

static void put_paragraphs(struct page *page)
{
    const struct story *story = &page->story;
    if (!story->paragraph_count)
        return;
    fputs("<dl class=\"story\">\n", page->stream);
    for (size_t i = 0; i < story->paragraph_count; i++) {
        if (*story->paragraphs[i].label) {
            fputs("<dt>", page->stream);
            page_text(page, story->paragraphs[i].label);
            fputs("</dt>", page->stream);
        }
        fputs("<dd>", page->stream);
        page_text(page, story->paragraphs[i].text);
        fputs("</dd>\n", page->stream);
    }
    fputs("</dl>\n", page->stream);
}

static void put_unproven(struct page *page)
{
    if (!page->story.unproven_count)
        return;
    fputs("<div class=\"unproven\"><h3>Not proven</h3>\n<ul>\n", page->stream);
    for (size_t i = 0; i < page->story.unproven_count; i++) {
        fputs("<li>", page->stream);
        page_text(page, page->story.unproven[i]);
        fputs("</li>\n", page->stream);
    }
    fputs("</ul></div>\n", page->stream);
}

static void write(struct page *page)
{
    if (*page->story.key) {
        fputs("<p class=\"hint\">", page->stream);
        page_text(page, page->story.key);
        fputs("</p>\n", page->stream);
    }
    put_paragraphs(page);
    put_unproven(page);
}

const struct page_section section_analysis = {
    .id = "analysis",
    .title = "Analysis",
    .wanted = wanted,
    .write = write,
};
