/* Processes that failed, and variants that could not run. */
#include <string.h>

#include "report/html/page.h"

static bool wanted(const struct page *page)
{
    for (size_t i = 0; i < page->summary->variant_count; i++)
        if (page->summary->variants[i].failures || !page->summary->variants[i].processes)
            return true;
    return false;
}

/* Lines stay lines; what each holds is made harmless. */
static void put_log(struct page *page, const char *log)
{
    if (!log || !*log)
        return;
    fputs("<pre tabindex=\"0\">", page->stream);
    while (*log) {
        size_t bytes = strcspn(log, "\n");
        page_text(page, arena_strndup(page->arena, log, bytes));
        fputc('\n', page->stream);
        log += bytes + (log[bytes] == '\n');
    }
    fputs("</pre>\n", page->stream);
}

static void put_failures(struct page *page, size_t variant)
{
    const struct record_run *run = page->summary->run;
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        if (process->variant != variant || !process->failure)
            continue;
        fputs("<dd>", page->stream);
        page_printf(page, "Block %u: %s", process->block + 1, process->failure);
        put_log(page, process->log_tail);
        fputs("</dd>\n", page->stream);
    }
}

static void write(struct page *page)
{
    const struct summary *summary = page->summary;
    fputs("<dl class=\"failures\">\n", page->stream);
    for (size_t i = 0; i < summary->variant_count; i++) {
        size_t variant = page_variant(page, i);
        const struct summary_variant *row = &summary->variants[variant];
        if (!row->failures && row->processes)
            continue;
        fputs("<dt>", page->stream);
        page_text(page, page->findings.titles[variant]);
        if (row->processes)
            fprintf(page->stream, ": %zu of %zu processes failed", row->failures, row->processes);
        else
            fputs(" did not run", page->stream);
        fputs("</dt>\n", page->stream);
        if (row->processes) {
            put_failures(page, variant);
        } else {
            fputs("<dd>", page->stream);
            page_text(page, row->why ? row->why : "no reason is known");
            fputs("</dd>\n", page->stream);
        }
    }
    fputs("</dl>\n", page->stream);
}

const struct page_section section_failures = {
    .id = "failures",
    .title = "Failures",
    .wanted = wanted,
    .write = write,
};
