#include "report/story.h"

#include "report/text.h"

static void add(struct story *story, const char *label, const char *text)
{
    if (*text)
        story->paragraphs[story->paragraph_count++] = (struct paragraph){label, text};
}

static void add_unproven(struct story *story, const char *text)
{
    if (text && *text)
        story->unproven[story->unproven_count++] = text;
}

static const char *kept(struct findings *findings, const char *text)
{
    findings->failed |= !text;
    return text ? text : "";
}

static void say_scope(struct story *story, struct findings *findings)
{
    const struct summary *summary = findings->summary;
    story->scope = story->key = "";
    if (summary->comparison_count && !summary_has_verdict(summary))
        story->scope =
            kept(findings, arena_printf(findings->arena,
                                        ": what was measured; with %zu block%s this is no verdict",
                                        summary->blocks, summary->blocks == 1 ? "" : "s"));
    if (summary->blocks > 1)
        story->key = kept(findings, arena_printf(findings->arena,
                                                 "In parentheses: 95 %% intervals over %zu blocks.",
                                                 summary->blocks));
}

enum status story_make(struct story *story, struct findings *findings, struct error *err)
{
    const struct summary *summary = findings->summary;
    size_t paragraphs = 2 * TOPICS + 5, items = summary->note_count + 2;
    *story = (struct story){
        .paragraphs = arena_array(findings->arena, paragraphs, sizeof *story->paragraphs),
        .unproven = arena_array(findings->arena, items, sizeof *story->unproven),
    };
    if (findings->failed || !story->paragraphs || !story->unproven)
        return error_no_memory(err, paragraphs * sizeof *story->paragraphs);
    say_scope(story, findings);
    for (size_t i = 0; i < TOPICS; i++) {
        const char *text = finding_topic(findings, &topics[i]);
        const char *more = topics[i].compared == METRIC_COLD_START    ? finding_warmup(findings)
                           : topics[i].compared == METRIC_PEAK_MEMORY ? finding_memory(findings)
                                                                      : "";
        add(story, topics[i].label, text);
        add(story, *text ? "" : topics[i].label, more);
    }
    add(story, "Precision", finding_precision(findings));
    add(story, "Compiling", finding_compiling(findings));
    add(story, "Splitting", finding_splitting(findings));
    add(story, "Limit", finding_limit(findings));
    add(story, "Equivalence", finding_equivalence(findings));
    add_unproven(story, finding_failed(findings));
    add_unproven(story, finding_undecided(findings));
    for (size_t i = 0; i < summary->note_count; i++)
        add_unproven(story, kept(findings, text_clean(findings->arena, summary->notes[i])));
    return findings->failed ? error_no_memory(err, sizeof *story) : STATUS_OK;
}
