/* prony compare: two variants, two versions of an engine, two runs, side by side. */
#include <string.h>

#include "cli/command.h"
#include "cli/sides.h"
#include "report/findings.h"
#include "report/number.h"
#include "report/report.h"
#include "report/text.h"

struct compare_options {
    const char *store;
    int64_t run;
};

static const struct option options[] = {
    {.name = "run",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1e15,
     .help = "The run of words that name none; by default the newest.",
     .offset = offsetof(struct compare_options, run)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = offsetof(struct compare_options, store)},
    {.name = NULL},
};

enum { TITLE_WIDTH = 26, FIGURE_WIDTH = 24, LABEL_WIDTH = 15 };

/* One topic's comparisons of all pairs; a ratio is not known where there is none. */
static enum status topic_compare(struct comparison *found, struct sides *sides,
                                 const struct topic *topic, bool one_machine, struct error *err)
{
    size_t count = sides->pair_count;
    struct between *family = arena_array(&sides->arena, count, sizeof *family);
    enum status status = STATUS_OK;
    if (!family)
        return error_no_memory(err, count * sizeof *family);
    for (size_t i = 0; i < count && !status; i++) {
        const struct sides_pair *pair = &sides->pairs[i];
        found[i] = (struct comparison){.verdict = VERDICT_NONE};
        if (sides->one_run) {
            comparison_find(&sides->summary[0], pair->a, pair->b, topic->compared, &found[i]);
            continue;
        }
        struct between_side a = {&sides->summary[0], pair->a}, b = {&sides->summary[1], pair->b};
        status = between_make(&family[i], &a, &b, topic->compared, &sides->arena, err);
    }
    if (!status && !sides->one_run)
        status = between_family(family, count, &sides->arena, err);
    for (size_t i = 0; i < count && !status && !sides->one_run; i++)
        found[i] = (struct comparison){.metric = topic->compared,
                                       .ratio = family[i].ratio,
                                       .verdict = one_machine ? family[i].verdict : VERDICT_NONE};
    return status;
}

static void put_figure(const struct summary *summary, size_t variant, enum metric metric)
{
    const struct estimate *estimate = &summary->variants[variant].metrics[metric];
    struct number value = number_metric(estimate, &metric_infos[metric]);
    struct number spread = number_spread(estimate, &metric_infos[metric]);
    char text[80];
    snprintf(text, sizeof text, "%s%s%s", value.text, *spread.text ? " ±" : "", spread.text);
    text_pad(stdout, text, FIGURE_WIDTH, TEXT_RIGHT);
}

/* A heading, a line of figures for each topic, and below it what the two make of each other. */
static enum status pair_print(struct sides *sides, size_t index, struct comparison *const *found,
                              unsigned width, struct error *err)
{
    const struct sides_pair *pair = &sides->pairs[index];
    const char *titles[2];
    for (int i = 0; i < 2; i++) {
        titles[i] = text_fit(&sides->arena, pair->title[i], FIGURE_WIDTH - 2);
        if (!titles[i])
            return error_no_memory(err, FIGURE_WIDTH);
    }
    text_pad(stdout, "Metric", TITLE_WIDTH, TEXT_LEFT);
    text_pad(stdout, titles[0], FIGURE_WIDTH, TEXT_RIGHT);
    text_pad(stdout, titles[1], FIGURE_WIDTH, TEXT_RIGHT);
    fputs("\n", stdout);
    for (size_t i = 0; i < TOPICS; i++) {
        enum metric metric = topics[i].compared;
        text_pad(stdout, metric_infos[metric].title, TITLE_WIDTH, TEXT_LEFT);
        put_figure(&sides->summary[0], pair->a, metric);
        put_figure(sides_second(sides), pair->b, metric);
        fputs("\n", stdout);
    }
    fputs("\n", stdout);
    for (size_t i = 0; i < TOPICS; i++) {
        const struct comparison *comparison = &found[i][index];
        if (!estimate_usable(&comparison->ratio))
            continue;
        const char *phrase =
            phrase_comparison(&topics[i], comparison, pair->title[1], &sides->arena);
        const char *line =
            phrase ? arena_printf(&sides->arena, "%s: %s", pair->title[0], phrase) : NULL;
        if (!line)
            return error_no_memory(err, 0);
        fputs("  ", stdout);
        text_pad(stdout, topics[i].label, LABEL_WIDTH, TEXT_LEFT);
        text_wrap(stdout, line, 2 + LABEL_WIDTH, 2 + LABEL_WIDTH, width);
    }
    return STATUS_OK;
}

static void put_note(const char *text, unsigned width)
{
    fputs("- ", stdout);
    text_wrap(stdout, text, 2, 2, width);
}

/* What the pairs' comparisons do not show, each sentence once. */
static enum status put_caveats(struct sides *sides, unsigned width, struct error *err)
{
    const char **said = arena_array(&sides->arena, sides->pair_count, SIDES_CAVEATS * sizeof *said);
    size_t said_count = 0;
    if (!said)
        return error_no_memory(err, sides->pair_count * sizeof *said);
    for (size_t i = 0; i < sides->pair_count; i++) {
        const char *caveats[SIDES_CAVEATS];
        size_t count;
        if (sides_caveats(sides, &sides->pairs[i], caveats, &count, err))
            return err->status;
        for (size_t j = 0; j < count; j++) {
            size_t k = 0;
            while (k < said_count && strcmp(said[k], caveats[j]) != 0)
                k++;
            if (k < said_count)
                continue;
            said[said_count++] = caveats[j];
            put_note(caveats[j], width);
        }
    }
    return STATUS_OK;
}

static void put_versions(struct sides *sides, unsigned width)
{
    for (size_t i = 0; i < sides->pair_count; i++) {
        const struct record_variant *a = sides->summary[0].variants[sides->pairs[i].a].variant;
        const struct record_variant *b = sides_second(sides)->variants[sides->pairs[i].b].variant;
        if (strcmp(a->engine, b->engine) != 0 || strcmp(a->engine_version, b->engine_version) == 0)
            continue;
        const char *text =
            arena_printf(&sides->arena, "Versions: %s of %s is %s, that of %s is %s.", a->engine,
                         sides->pairs[i].title[0], a->engine_version, sides->pairs[i].title[1],
                         b->engine_version);
        text = text ? text_clean(&sides->arena, text) : NULL;
        put_note(text ? text : "The engine's versions differ.", width);
    }
}

/* What else changed from one run to the other. */
static enum status put_asides(struct sides *sides, unsigned width, struct error *err)
{
    const char *asides[BETWEEN_ASIDES];
    size_t count = 0;
    if (!sides->one_run &&
        between_asides(&sides->record[0], &sides->record[1], asides, &count, &sides->arena, err))
        return err->status;
    for (size_t i = 0; i < count; i++) {
        const char *text = arena_printf(&sides->arena, "This changed as well: %s.", asides[i]);
        put_note(text ? text : asides[i], width);
    }
    return STATUS_OK;
}

/* What limits the trust in it: how it was compared, and what else changed. few: ratios are known,
 * and there are too few blocks for a verdict on any. */
static enum status put_notes(struct sides *sides, const char *differs, bool few, unsigned width,
                             struct error *err)
{
    const char *text;
    fputs("\n", stdout);
    put_note(sides->one_run
                 ? "Measured in the same blocks: ratios are paired, and drift cancels out."
                 : "Measured in two runs: nothing cancels out that changed between them. "
                   "Intervals are Welch's, over the blocks of each run.",
             width);
    if (differs) {
        text =
            arena_printf(&sides->arena, "Two machines, and so no verdict on engines: %s.", differs);
        put_note(text ? text : differs, width);
    } else if (few) {
        text = arena_printf(&sides->arena, "No verdict is claimed: that takes %d blocks%s.",
                            VERDICT_BLOCKS, sides->one_run ? "" : " of each run");
        put_note(text ? text : "No verdict is claimed.", width);
    }
    enum status status = put_caveats(sides, width, err);
    if (!status)
        status = put_asides(sides, width, err);
    if (!status)
        put_versions(sides, width);
    return status;
}

static enum status compare(struct sides *sides, bool *measured, struct error *err)
{
    struct comparison *found[TOPICS];
    const char *differs = NULL;
    struct report_options look = report_options_for(stdout, false);
    unsigned width = look.width < 100 ? look.width : 100;
    bool verdicts = false;
    enum status status = sides->one_run ? STATUS_OK
                                        : between_machines(&sides->record[0], &sides->record[1],
                                                           &differs, &sides->arena, err);
    for (size_t i = 0; i < TOPICS && !status; i++) {
        found[i] = arena_array(&sides->arena, sides->pair_count, sizeof *found[i]);
        if (!found[i])
            return error_no_memory(err, sides->pair_count * sizeof *found[i]);
        status = topic_compare(found[i], sides, &topics[i], !differs, err);
        for (size_t j = 0; j < sides->pair_count && !status; j++) {
            *measured |= found[i][j].ratio.known;
            verdicts |= found[i][j].verdict != VERDICT_NONE;
        }
    }
    for (size_t i = 0; i < sides->pair_count && !status; i++) {
        fputs(i ? "\n" : "", stdout);
        status = pair_print(sides, i, found, width, err);
    }
    if (!status)
        status = put_notes(sides, differs, *measured && !verdicts, width, err);
    if (!status && (fflush(stdout) || ferror(stdout)))
        status = error_errno(err, "write to standard output");
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    const struct compare_options *o = given;
    const char *const words[2] = {args->items[0], args->items[1]};
    struct sides sides;
    struct error err;
    bool measured = false;
    enum status status = sides_open(&sides, o->store, words, o->run, &err);
    if (!status) {
        status = compare(&sides, &measured, &err);
        sides_free(&sides);
    }
    return status ? command_fail(&err) : measured ? EXIT_PASS : EXIT_INVALID;
}

const struct command command_compare = {
    .name = "compare",
    .summary = "Holds two variants, two versions of an engine or two runs against each other.",
    .positional = "A B",
    .min_args = 2,
    .max_args = 2,
    .options = options,
    .options_bytes = sizeof(struct compare_options),
    .details = "A and B are variants of one run (native-f16), versions of an engine in it "
               "(pytorch@2.14.0), runs (7) or variants of runs (7:native-f16). Runs must have done "
               "the same work; of two machines the figures are shown, and no verdict is claimed. "
               "The status is 5 when nothing was measured of both.\n"
               "\n"
               "  prony compare native-f32 native-f16\n"
               "  prony compare 7 8\n"
               "  prony compare 7:native-f16 8:native-f16\n",
    .exits = 1u << EXIT_INVALID,
    .run = run,
};
