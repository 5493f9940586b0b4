/* The whole run as one page that needs nothing else: no server, no network, no script to be read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "report/html/page.h"
#include "report/report.h"

static const struct page_section *const sections[] = {
    &section_limit,       &section_table,    &section_analysis, &section_verdicts,
    &section_equivalence, &section_latency,  &section_tokens,   &section_lengths,
    &section_start,       &section_starts,   &section_memory,   &section_disturbances,
    &section_failures,    &section_manifest,
};
enum { SECTIONS = sizeof sections / sizeof sections[0] };

/* The policy lets nothing be loaded, and only this very style and script take effect: even markup
 * that slipped through could do nothing. */
static void put_head(struct page *page)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
          page->stream);
    fprintf(page->stream,
            "style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'\">\n",
            page_css_digest, page_js_digest);
    fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<meta name=\"generator\" content=\"Prony " PRONY_VERSION "\">\n<title>",
          page->stream);
    page_printf(page, "%s: Prony, run %lld", *page->facts.model ? page->facts.model : "A benchmark",
                (long long)page->summary->run->id);
    fprintf(page->stream, "</title>\n<style>%s</style>\n</head>\n<body>\n", page_css);
}

/* "2026-11-25T01:46:26Z" as people write it. */
static const char *time_text(struct page *page)
{
    const char *created = page->summary->run->created ? page->summary->run->created : "";
    return strlen(created) < 16 || created[10] != 'T'
               ? created
               : arena_printf(page->arena, "%.10s %.5s UTC", created, created + 11);
}

static const char *machine_text(struct page *page)
{
    const json_t *machine = json_object_get(page->manifest, "machine");
    const char *cpu = json_string_value(json_object_get(json_object_get(machine, "cpu"), "model"));
    return cpu ? cpu : "";
}

/* Who computes something else: charts show it with the same sign. */
static void put_different(struct page *page)
{
    for (size_t i = 0; i < page->summary->variant_count; i++) {
        size_t variant = page_variant(page, i);
        if (!page_differs(page, variant))
            continue;
        fputs("<p class=\"warning\">", page->stream);
        page_printf(page, "%s is NOT EQUIVALENT (≠), and in no ranking or verdict.",
                    page->findings.titles[variant]);
        fputs("</p>\n", page->stream);
    }
}

/* What was measured, where and when; and the one sentence that a hurried reader needs. */
static void put_header(struct page *page)
{
    const char *headline = finding_topic(&page->findings, &topics[0]);
    fputs("<header>\n<p class=\"brand\">Prony</p>\n<h1>", page->stream);
    page_text(page, *page->facts.model ? page->facts.model : "Benchmark");
    fputs("</h1>\n<p class=\"meta\">", page->stream);
    page_text(page, run_caption(&page->facts, page->summary, page->arena));
    fputs("<br>", page->stream);
    page_printf(page, "%s%s%s", machine_text(page), *machine_text(page) ? ", " : "",
                time_text(page));
    fputs("</p>\n", page->stream);
    if (*headline) {
        fputs("<p class=\"headline\">", page->stream);
        page_text(page, headline);
        fputs("</p>\n", page->stream);
    }
    if (page->summary->comparison_count && !summary_has_verdict(page->summary))
        fputs("<p class=\"warning\">No verdict: too few blocks. What follows was measured, and "
              "claims nothing.</p>\n",
              page->stream);
    put_different(page);
    fputs("</header>\n", page->stream);
}

static void put_contents(struct page *page)
{
    fputs("<nav aria-label=\"Contents\">\n<ul>\n", page->stream);
    for (size_t i = 0; i < SECTIONS; i++)
        if (sections[i]->wanted(page))
            fprintf(page->stream, "<li><a href=\"#%s\">%s</a></li>\n", sections[i]->id,
                    sections[i]->title);
    fputs("</ul>\n</nav>\n", page->stream);
}

static void put_page(struct page *page)
{
    put_head(page);
    put_header(page);
    put_contents(page);
    fputs("<main>\n", page->stream);
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!sections[i]->wanted(page))
            continue;
        fprintf(page->stream,
                "<section id=\"%s\" aria-labelledby=\"%s-title\">\n"
                "<h2 id=\"%s-title\">%s</h2>\n",
                sections[i]->id, sections[i]->id, sections[i]->id, sections[i]->title);
        sections[i]->write(page);
        fputs("</section>\n", page->stream);
    }
    fprintf(page->stream,
            "</main>\n<footer>Written by Prony " PRONY_VERSION " from the stamps of run %lld. "
            "<code>prony report %lld</code> prints its figures again.</footer>\n"
            "<script>%s</script>\n</body>\n</html>\n",
            (long long)page->summary->run->id, (long long)page->summary->run->id, page_js);
}

/* A JSON text of the record as an object; an empty one where there is none. */
static enum status embedded(json_t **object, const char *text, const char *origin,
                            struct error *err)
{
    *object = text && *text ? json_parse(text, strlen(text), origin, err) : json_object();
    return *object ? STATUS_OK : text && *text ? err->status : error_no_memory(err, 0);
}

static enum status page_make(struct page *page, struct error *err)
{
    const struct record_run *run = page->summary->run;
    findings_init(&page->findings, page->summary, page->arena);
    enum status status = story_make(&page->story, &page->findings, err);
    if (!status)
        status = run_facts_make(&page->facts, run, page->arena, err);
    if (!status)
        status = series_make(&page->series, page->summary, page->arena, err);
    if (!status)
        status = embedded(&page->plan, run->plan, "plan", err);
    if (!status)
        status = embedded(&page->manifest, run->manifest, "manifest", err);
    return status;
}

static enum status html_write(const struct summary *summary, const struct report_options *options,
                              FILE *stream, struct error *err)
{
    (void)options;
    struct arena arena = {0};
    struct page page = {.stream = stream, .summary = summary, .arena = &arena};
    enum status status = page_make(&page, err);
    if (!status)
        put_page(&page);
    if (!status && (page.failed || page.findings.failed))
        status = error_no_memory(err, sizeof page);
    else if (!status && ferror(stream))
        status = error_errno(err, "write the page");
    json_decref(page.plan);
    json_decref(page.manifest);
    arena_free(&arena);
    return status;
}

const struct report_form report_html = {
    .name = "html",
    .extension = ".html",
    .about = "one page with charts that needs nothing else",
    .write = html_write,
};
