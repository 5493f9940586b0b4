#include "report/findings_parts.h"

#include "bench/gate.h"
#include "report/grid.h"
#include "report/number.h"
#include "report/text.h"

/* Longer lists of variants name the two that bound them; of pairs, the first ones. */
enum { LIST_MOST = 4 };

const struct topic topics[TOPICS] = {
    {"Running", "speed", METRIC_TPOT, METRIC_THROUGHPUT, "generates", "", "faster", "slower",
     "as fast", "the speed", false},
    {"First token", "time to first token", METRIC_TTFT, METRIC_TTFT,
     "answers a prompt with its first token after", "", "faster", "slower", "as fast", "the speed",
     false},
    {"Loading", "load time", METRIC_MODEL_LOAD, METRIC_MODEL_LOAD, "loads the model in", "",
     "faster", "slower", "as fast", "the speed", false},
    {"Cold start", "cold start", METRIC_COLD_START, METRIC_COLD_START, "takes",
     " for the first token of a fresh process", "faster", "slower", "as fast", "the speed", false},
    {"Whole start", "whole start", METRIC_START_TO_FIRST_TOKEN, METRIC_START_TO_FIRST_TOKEN,
     "needs", " from the start of its process to its first token", "faster", "slower", "as fast",
     "the speed", false},
    {"Memory", "memory", METRIC_PEAK_MEMORY, METRIC_PEAK_MEMORY, "needs", " at its peak",
     "less memory", "more memory", "the same memory", "the memory", true},
};

const char *findings_kept(struct findings *findings, const char *text)
{
    findings->failed |= !text;
    return text ? text : "";
}

const char *findings_printf(struct findings *findings, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(findings->arena, format, args);
    va_end(args);
    return findings_kept(findings, text);
}

void findings_append(struct findings *findings, const char **text, const char *separator,
                     const char *more)
{
    *text = findings_printf(findings, "%s%s%s", *text, **text ? separator : "", more);
}

void findings_init(struct findings *findings, const struct summary *summary, struct arena *arena)
{
    *findings = (struct findings){
        .summary = summary,
        .order = column_order(summary, arena),
        .titles = arena_array(arena, summary->variant_count + 1, sizeof(const char *)),
        .arena = arena,
    };
    findings->failed = !findings->order || !findings->titles;
    for (size_t i = 0; i < summary->variant_count && !findings->failed; i++)
        findings->titles[i] =
            findings_kept(findings, variant_title(summary->variants[i].variant, arena));
}

static const struct estimate *estimate_of(const struct findings *findings, size_t variant,
                                          enum metric metric)
{
    return &findings->summary->variants[variant].metrics[metric];
}

const char *findings_figure(struct findings *findings, size_t variant, enum metric metric)
{
    return findings_kept(
        findings, phrase_figure(estimate_of(findings, variant, metric), metric, findings->arena));
}

/* The variants of which a metric is known, by its value, in the table's order where that is the
 * same: the best first, or the highest where neither is better. Returns how many. */
static size_t ranking(struct findings *findings, enum metric metric, size_t **ranked)
{
    size_t count = 0;
    double sign = metric_infos[metric].better < 0 ? -1 : 1;
    *ranked = arena_array(findings->arena, findings->summary->variant_count + 1, sizeof **ranked);
    findings->failed |= !*ranked;
    for (size_t i = 0; *ranked && i < findings->summary->variant_count; i++) {
        size_t variant = findings->order[i], place = count;
        const struct estimate *own = estimate_of(findings, variant, metric);
        if (!estimate_usable(own) || findings->summary->variants[variant].control ||
            findings->summary->variants[variant].equivalence == EQUIVALENCE_FAILED)
            continue;
        for (; place > 0; place--) {
            size_t before = (*ranked)[place - 1];
            if (sign * estimate_of(findings, before, metric)->value >= sign * own->value)
                break;
            (*ranked)[place] = before;
        }
        (*ranked)[place] = variant;
        count++;
    }
    return count;
}

/* The phrases of one topic, by how far they are decided. */
struct phrases {
    const char *decided, *undecided, *measured;
    size_t measured_blocks; /* most of any that is only measured */
};

static void phrases_add(struct findings *findings, struct phrases *phrases,
                        const struct topic *topic, const struct comparison *comparison)
{
    const char **list = comparison->verdict == VERDICT_NONE        ? &phrases->measured
                        : comparison->verdict == VERDICT_UNDECIDED ? &phrases->undecided
                                                                   : &phrases->decided;
    findings_append(findings, list, ", ",
                    findings_kept(findings, phrase_comparison(topic, comparison,
                                                              findings->titles[comparison->b],
                                                              findings->arena)));
    if (comparison->verdict == VERDICT_NONE && comparison->ratio.blocks > phrases->measured_blocks)
        phrases->measured_blocks = comparison->ratio.blocks;
}

static void append_measured(struct findings *findings, const char **text,
                            const struct phrases *phrases)
{
    findings_append(findings, text, "", "; measured ");
    findings_append(findings, text, "", phrases->measured);
    if (summary_has_verdict(findings->summary)) /* else it has been said of all */
        findings_append(findings, text, "",
                        findings_printf(findings, ", which with %zu block%s is no verdict",
                                        phrases->measured_blocks,
                                        phrases->measured_blocks == 1 ? "" : "s"));
}

const char *finding_topic(struct findings *findings, const struct topic *topic)
{
    struct phrases phrases = {"", "", "", 0};
    size_t *ranked, known = ranking(findings, topic->shown, &ranked);
    bool bounds_only = known > LIST_MOST + 1 && topic != topics;
    for (size_t i = 1; i < known; i++) {
        struct comparison comparison;
        bool listed = !bounds_only || i == 1 || i + 1 == known;
        if (listed &&
            comparison_find(findings->summary, ranked[0], ranked[i], topic->compared, &comparison))
            phrases_add(findings, &phrases, topic, &comparison);
    }
    if (known == 0 || (known > 1 && !*phrases.decided && !*phrases.undecided && !*phrases.measured))
        return "";
    const char *text =
        findings_printf(findings, "%s %s %s%s", findings->titles[ranked[0]], topic->takes,
                        findings_figure(findings, ranked[0], topic->shown), topic->after);
    if (*phrases.decided)
        findings_append(findings, &text, ": ", phrases.decided);
    if (*phrases.undecided)
        findings_append(findings, &text, "; ", phrases.undecided);
    if (*phrases.measured)
        append_measured(findings, &text, &phrases);
    if (bounds_only)
        findings_append(findings, &text, "",
                        findings_printf(findings, ", with %zu others between the two", known - 3));
    findings_append(findings, &text, "", ".");
    return text;
}

const char *finding_memory(struct findings *findings)
{
    const struct metric_info *info = &metric_infos[METRIC_WEIGHTS];
    size_t *ranked, known = ranking(findings, METRIC_MEMORY_OVERHEAD, &ranked);
    const char *list = "";
    for (size_t i = 0; i < known; i++) {
        const struct estimate *weights = estimate_of(findings, ranked[i], METRIC_WEIGHTS);
        if (!estimate_usable(weights) || (known > LIST_MOST && i > 0 && i + 1 < known))
            continue;
        struct number number = number_metric(weights, info);
        findings_append(
            findings, &list, i + 1 == known && known > LIST_MOST ? "; at most, " : "; ",
            findings_printf(findings, "%s %s" TEXT_NBSP "%s of weights and %s besides",
                            findings->titles[ranked[i]], number.text, info->unit,
                            findings_figure(findings, ranked[i], METRIC_MEMORY_OVERHEAD)));
    }
    return *list ? findings_printf(findings, "It went to: %s%s.",
                                   known > LIST_MOST ? "at least, " : "", list)
                 : "";
}

/* "A 84 % (83–86), B 83 % (82–85)", best first, of those whose interval lies above a threshold (0:
 * of all that are known); of many "from B 20 % (18–22) to A 84 % (83–86)". */
static const char *figure_list(struct findings *findings, enum metric metric, double above)
{
    size_t *ranked, known = ranking(findings, metric, &ranked), count = 0;
    for (size_t i = 0; i < known; i++) {
        const struct estimate *estimate = estimate_of(findings, ranked[i], metric);
        if (above == 0 || (estimate_has_interval(estimate) && estimate->low > above))
            ranked[count++] = ranked[i];
    }
    const char *list = "";
    if (count > LIST_MOST)
        return findings_printf(findings, "from %s %s to %s %s", findings->titles[ranked[count - 1]],
                               findings_figure(findings, ranked[count - 1], metric),
                               findings->titles[ranked[0]],
                               findings_figure(findings, ranked[0], metric));
    for (size_t i = 0; i < count; i++) {
        findings_append(findings, &list, ", ", findings->titles[ranked[i]]);
        findings_append(findings, &list, " ", findings_figure(findings, ranked[i], metric));
    }
    return list;
}

const char *finding_warmup(struct findings *findings)
{
    const char *list = figure_list(findings, METRIC_WARMUP_IMPROVEMENT, 1);
    return *list ? findings_printf(findings,
                                   "A fresh process takes longer than a warm one to "
                                   "its first token: %s.",
                                   list)
                 : "";
}

/* From here on a share is shown as 101 %. */
static const double SHOWN_ABOVE_LIMIT = 1.005;

const char *finding_limit(struct findings *findings)
{
    const char *list = figure_list(findings, METRIC_LIMIT_SHARE, 0);
    size_t *ranked;
    if (!*list || !ranking(findings, METRIC_LIMIT_SHARE, &ranked))
        return "";
    bool above = estimate_of(findings, ranked[0], METRIC_LIMIT_SHARE)->value >= SHOWN_ABOVE_LIMIT;
    return findings_printf(findings,
                           "Of what memory can deliver, as the probe read it in the same "
                           "blocks: %s.%s",
                           list,
                           above ? " A share above 100 % means that weights stayed in a cache, "
                                   "or that the probe was disturbed."
                                 : "");
}

/* "PyTorch-Opt (mean KL 1e-5 nat, of 3e-5 allowed)" */
static const char *equivalent(struct findings *findings, size_t variant,
                              const struct record_equivalence *record)
{
    const char *title = findings->titles[variant];
    if (equivalence_is_by_ids(record))
        return findings_printf(findings, "%s (by %u generated ids alone)", title,
                               record->greedy_ids);
    const char *least = equivalence_least(record, findings->arena);
    return findings_printf(findings, "%s (mean KL %s%.2g" TEXT_NBSP "nat, of %.2g allowed)", title,
                           least, record->kl_mean, record->kl_bound);
}

const char *finding_equivalence(struct findings *findings)
{
    const struct summary *summary = findings->summary;
    const char *list = "";
    uint32_t positions = 0;
    for (size_t i = 0; i < summary->variant_count; i++) {
        size_t variant = findings->order[i];
        if (summary->variants[variant].equivalence != EQUIVALENCE_GIVEN ||
            summary->variants[variant].control)
            continue;
        const struct record_equivalence *record = &summary->run->equivalence[variant];
        positions = record->positions && !record->told ? record->positions : positions;
        findings_append(findings, &list, ", ", equivalent(findings, variant, record));
    }
    if (!*list)
        return "";
    const char *at = positions ? findings_printf(findings, ", at %u positions", positions) : "";
    return findings_printf(findings,
                           "Within what rounding explains, these compute what "
                           "the float32 reference does%s: %s.",
                           at, list);
}

/* The topics in which a pair is undecided: "speed, load time". */
static const char *undecided_topics(struct findings *findings, size_t a, size_t b)
{
    const char *list = "";
    for (size_t i = 0; i < TOPICS; i++) {
        struct comparison comparison;
        if (comparison_find(findings->summary, a, b, topics[i].compared, &comparison) &&
            comparison.verdict == VERDICT_UNDECIDED) {
            findings_append(findings, &list, ", ", topics[i].noun);
            findings_append(findings, &list, " ",
                            comparison.more_blocks
                                ? findings_printf(findings, "(+%zu)", comparison.more_blocks)
                                : findings_printf(findings, "(over +%d)", GATE_MOST_BLOCKS));
        }
    }
    return list;
}

const char *finding_undecided(struct findings *findings)
{
    size_t count = findings->summary->variant_count, pairs = 0;
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            size_t a = findings->order[i], b = findings->order[j];
            const char *list = undecided_topics(findings, a, b);
            if (*list && pairs++ < LIST_MOST)
                findings_append(findings, &text, "; ",
                                findings_printf(findings, "%s and %s in %s", findings->titles[a],
                                                findings->titles[b], list));
        }
    }
    if (pairs > LIST_MOST)
        findings_append(findings, &text, "; ",
                        findings_printf(findings,
                                        "and %zu more pairs, which the page's verdicts show",
                                        pairs - LIST_MOST));
    return *text ? findings_printf(findings,
                                   "Undecided: %s. +N is how many more blocks would decide, were "
                                   "spread and difference to stay as they are.",
                                   text)
                 : "";
}

const char *finding_failed(struct findings *findings)
{
    const char *list = "";
    for (size_t i = 0; i < findings->summary->variant_count; i++) {
        const struct summary_variant *variant = &findings->summary->variants[findings->order[i]];
        if (variant->processes == variant->failures)
            findings_append(findings, &list, ", ", findings->titles[findings->order[i]]);
    }
    return *list ? findings_printf(findings, "Nothing is known of %s: the table's notes say why.",
                                   list)
                 : "";
}
