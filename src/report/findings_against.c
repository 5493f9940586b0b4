/* Variants against those that they differ from in one thing: precision, compiling, splitting. */
#include <string.h>

#include "report/findings_parts.h"
#include "report/number.h"
#include "report/text.h"

/* The variant that a ratio is to; variant_count when it is none but itself. */
static size_t base_of(const struct summary *summary, size_t variant, enum metric metric)
{
    const char *against = summary->variants[variant].metrics[metric].against;
    size_t i = 0;
    while (against && i < summary->variant_count &&
           (i == variant || strcmp(summary->variants[i].variant->name, against) != 0))
        i++;
    return against ? i : summary->variant_count;
}

/* "running 1.90x faster (1.84–1.96), loading …, … less memory": a variant against another. */
static const char *changes(struct findings *findings, size_t variant, size_t base)
{
    static const struct {
        const struct topic *topic;
        const char *lead;
    } changed[] = {{&topics[0], "running "}, {&topics[2], "loading "}, {&topics[5], ""}};
    const char *list = "";
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++) {
        struct comparison comparison;
        if (!comparison_find(findings->summary, variant, base, changed[i].topic->compared,
                             &comparison))
            continue;
        findings_append(findings, &list, ", ", changed[i].lead);
        findings_append(findings, &list, "",
                        findings_kept(findings, phrase_comparison(changed[i].topic, &comparison,
                                                                  NULL, findings->arena)));
    }
    return list;
}

/* A sentence on a variant, and the one at base; "" when there is none. */
typedef const char *sentence(struct findings *findings, size_t variant, size_t base,
                             const char *changes);

static const char *against(struct findings *findings, enum metric metric, sentence *sentence_of)
{
    const struct summary *summary = findings->summary;
    const char *text = "";
    for (size_t i = 0; i < summary->variant_count; i++) {
        size_t variant = findings->order[i], base = base_of(summary, variant, metric);
        const char *list = base < summary->variant_count && !summary->variants[variant].control
                               ? changes(findings, variant, base)
                               : "";
        if (*list)
            findings_append(findings, &text, " ", sentence_of(findings, variant, base, list));
    }
    return text;
}

static const char *precision_sentence(struct findings *findings, size_t variant, size_t base,
                                      const char *list)
{
    const char *precision = findings->summary->variants[variant].precision;
    precision = findings_kept(findings, text_clean(findings->arena, precision));
    return findings_printf(findings, "%s (%s) against %s (float32): %s.", findings->titles[variant],
                           precision, findings->titles[base], list);
}

const char *finding_precision(struct findings *findings)
{
    return against(findings, METRIC_PRECISION_IMPACT, precision_sentence);
}

static const char *compiling_sentence(struct findings *findings, size_t variant, size_t base,
                                      const char *list)
{
    return findings_printf(findings, "%s (compiled) against %s (not): %s.",
                           findings->titles[variant], findings->titles[base], list);
}

const char *finding_compiling(struct findings *findings)
{
    return against(findings, METRIC_COMPILE_BENEFIT, compiling_sentence);
}

static const char *splitting_sentence(struct findings *findings, size_t variant, size_t base,
                                      const char *list)
{
    const struct estimate *metrics = findings->summary->variants[variant].metrics;
    const char *exchanged = "";
    if (estimate_usable(&metrics[METRIC_EXCHANGED]))
        exchanged = findings_printf(findings, "; a token exchanges %s",
                                    findings_figure(findings, variant, METRIC_EXCHANGED));
    if (estimate_usable(&metrics[METRIC_EXCHANGE_TIME]))
        exchanged = findings_printf(findings, "%s in %s", exchanged,
                                    findings_figure(findings, variant, METRIC_EXCHANGE_TIME));
    return findings_printf(findings, "%s against %s: %s, an efficiency of %s%s.",
                           findings->titles[variant], findings->titles[base], list,
                           findings_figure(findings, variant, METRIC_SHARD_EFFICIENCY), exchanged);
}

const char *finding_splitting(struct findings *findings)
{
    return against(findings, METRIC_SHARD_EFFICIENCY, splitting_sentence);
}
