/* What the figures say, in sentences: each is made from figures and says how sure they are. */
#include <string.h>

#include "report/findings.h"
#include "report/report.h"
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

/* A paragraph behind its label; nothing when there is no text. */
static void put_paragraph(const struct page *page, const char *label, const char *text)
{
    if (!*text)
        return;
    fprintf(page->stream, "%*s", INDENT, "");
    put_bold(page, label, LABEL_WIDTH);
    text_wrap(page->stream, text, INDENT + LABEL_WIDTH, INDENT + LABEL_WIDTH, page->width);
}

/* One item of a list, whose label stands beside the first. */
static void put_item(const struct page *page, const char **label, const char *text)
{
    if (!*text)
        return;
    fprintf(page->stream, "%*s", INDENT, "");
    put_bold(page, *label, LABEL_WIDTH);
    fputs("- ", page->stream);
    text_wrap(page->stream, text, INDENT + LABEL_WIDTH + 2, INDENT + LABEL_WIDTH + 2, page->width);
    *label = "";
}

static void put_head(const struct page *page, const struct findings *findings)
{
    const struct summary *summary = findings->summary;
    char scope[96] = "";
    if (summary->comparison_count && !findings->verdicts)
        snprintf(scope, sizeof scope, ": what was measured; with %zu block%s this is no verdict",
                 summary->blocks, summary->blocks == 1 ? "" : "s");
    put_bold(page, "Analysis", 0);
    text_wrap(page->stream, scope, strlen("Analysis"), INDENT, page->width);
    if (summary->blocks > 1)
        fprintf(page->stream, "%*sIn parentheses: 95 %% intervals over %zu blocks.\n", INDENT, "",
                summary->blocks);
}

static void put_findings(const struct page *page, struct findings *findings)
{
    put_head(page, findings);
    for (size_t i = 0; i < TOPICS; i++) {
        const char *text = finding_topic(findings, &topics[i]);
        const char *more = topics[i].compared == METRIC_COLD_START    ? finding_warmup(findings)
                           : topics[i].compared == METRIC_PEAK_MEMORY ? finding_memory(findings)
                                                                      : "";
        put_paragraph(page, topics[i].label, text);
        put_paragraph(page, *text ? "" : topics[i].label, more);
    }
    put_paragraph(page, "Precision", finding_precision(findings));
    put_paragraph(page, "Limit", finding_limit(findings));
    const char *label = "Not proven";
    put_item(page, &label, finding_failed(findings));
    put_item(page, &label, finding_undecided(findings));
    for (size_t i = 0; i < findings->summary->note_count; i++) {
        char *note = text_clean(findings->arena, findings->summary->notes[i]);
        findings->failed |= !note;
        put_item(page, &label, note ? note : "");
    }
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
    enum status status = STATUS_OK;
    findings_init(&findings, summary, &arena);
    if (!findings.failed)
        put_findings(&page, &findings);
    if (findings.failed)
        status = error_no_memory(err, sizeof findings);
    else if (ferror(stream))
        status = error_errno(err, "write the analysis");
    arena_free(&arena);
    return status;
}

const struct report_form report_analysis = {
    .name = "analysis",
    .about = "what the figures say, in sentences",
    .write = analysis_write,
};
