/* prony gate: may a candidate take the place of a baseline? */
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/sides.h"
#include "report/judgement.h"
#include "report/phrase.h"

struct gate_options {
    const char *metric, *worse_than, *junit, *markdown, *store;
    int64_t run;
};

#define FIELD(name) offsetof(struct gate_options, name)

static const struct gate_options defaults = {.metric = "tpot"};

static const struct option options[] = {
    {.name = "metric",
     .kind = OPTION_CHOICE,
     .choices = SIDES_METRICS,
     .help = "What is compared (tpot: the time of a token).",
     .offset = FIELD(metric)},
    {.name = "worse-than",
     .kind = OPTION_STRING,
     .metavar = "PERCENT",
     .help = "How much worse the candidate may be: 3%. By default, and at least, the zone of "
             "indifference of the run.",
     .offset = FIELD(worse_than)},
    {.name = "run",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1e15,
     .help = "The run of words that name none; by default the newest.",
     .offset = FIELD(run)},
    {.name = "junit",
     .kind = OPTION_STRING,
     .metavar = "FILE",
     .help = "Write the verdict as JUnit XML, too.",
     .offset = FIELD(junit)},
    {.name = "markdown",
     .kind = OPTION_STRING,
     .metavar = "FILE",
     .help = "Write the verdict as Markdown, too.",
     .offset = FIELD(markdown)},
    {.name = "store",
     .kind = OPTION_STRING,
     .metavar = "PATH",
     .help = "Read this store instead of the user's own.",
     .offset = FIELD(store)},
    {.name = NULL},
};

/* "3%" and "3" are 0.03; nothing is 0. */
static enum status limit_parse(const char *text, double *limit, struct error *err)
{
    char *end;
    *limit = 0;
    if (!text)
        return STATUS_OK;
    double percent = strtod(text, &end);
    if (end != text && *end == '%')
        end++;
    if (end == text || *end || !(percent > 0 && percent <= 1000)) {
        error_set(err, STATUS_USAGE, "--worse-than takes a percentage above 0, not '%s'", text);
        return error_remedy(err, "For example: --worse-than 3%%");
    }
    *limit = percent / 100;
    return STATUS_OK;
}

/* What there is to say of a pair that was measured. */
static void judged(struct judgement *judgement, enum metric metric, const struct estimate *ratio,
                   const struct gate *gate, bool paired, struct arena *arena)
{
    static const enum judgement_kind kinds[] = {JUDGED_PASS, JUDGED_REGRESSION, JUDGED_UNDECIDED};
    judgement->kind = kinds[gate->outcome];
    judgement->sentence = arena_printf(
        arena, "%s: %s is %.3f times as good as %s (%.3f–%.3f, %zu blocks%s); the limit is %.3f.",
        metric_infos[metric].title, judgement->candidate, ratio->value, judgement->baseline,
        ratio->low, ratio->high, ratio->blocks, paired ? "" : " of each run",
        1 / (1 + gate->limit));
    if (judgement->sentence && gate->outcome == GATE_UNDECIDED)
        judgement->sentence =
            gate->more_blocks
                ? arena_printf(arena, "%s About %zu more blocks%s would decide.",
                               judgement->sentence, gate->more_blocks, paired ? "" : " of each")
                : arena_printf(arena, "%s It lies on the limit: more blocks will hardly decide.",
                               judgement->sentence);
}

static void not_measured(struct judgement *judgement, enum metric metric, struct arena *arena)
{
    judgement->kind = JUDGED_INVALID;
    judgement->sentence =
        arena_printf(arena, "%s: no block measured both %s and %s.", metric_infos[metric].title,
                     judgement->candidate, judgement->baseline);
}

/* Within a run: paired by block. The first of a pair is the baseline. */
static void judge_within(struct judgement *judgement, const struct summary *summary,
                         const struct sides_pair *pair, enum metric metric, double limit,
                         struct arena *arena)
{
    struct comparison found;
    if (!comparison_find(summary, pair->b, pair->a, metric, &found)) {
        not_measured(judgement, metric, arena);
        return;
    }
    struct gate gate = gate_judge(&found.ratio, fmax(limit, expm1(summary->controls[metric].zone)));
    judged(judgement, metric, &found.ratio, &gate, true, arena);
}

static enum status judge_between(struct judgement *judgement, struct sides *sides,
                                 const struct sides_pair *pair, enum metric metric, double limit,
                                 struct error *err)
{
    struct between between;
    struct between_side baseline = {&sides->summary[0], pair->a};
    struct between_side candidate = {&sides->summary[1], pair->b};
    enum status status = between_make(&between, &candidate, &baseline, metric, &sides->arena, err);
    if (status)
        return status;
    struct gate gate = between_gate(&between, fmax(limit, expm1(between.zone)));
    if (between.ratio.known)
        judged(judgement, metric, &between.ratio, &gate, false, &sides->arena);
    else
        not_measured(judgement, metric, &sides->arena);
    return STATUS_OK;
}

/* A side that computes something else than the reference. */
static bool is_different(const struct sides *sides, const struct sides_pair *pair)
{
    return sides->summary[0].variants[pair->a].equivalence == EQUIVALENCE_FAILED ||
           sides_second(sides)->variants[pair->b].equivalence == EQUIVALENCE_FAILED;
}

/* What the verdict does not show goes wherever it goes: into JUnit's file as well. */
static enum status caveats_append(struct judgement *judgement, struct sides *sides,
                                  const struct sides_pair *pair, struct error *err)
{
    const char *caveats[SIDES_CAVEATS];
    size_t count;
    if (sides_caveats(sides, pair, caveats, &count, err))
        return err->status;
    for (size_t i = 0; i < count && judgement->sentence; i++)
        judgement->sentence = arena_printf(&sides->arena, "%s %s", judgement->sentence, caveats[i]);
    return judgement->sentence ? STATUS_OK : error_no_memory(err, 0);
}

static enum status pair_judge(struct judgement *judgement, struct sides *sides,
                              const struct sides_pair *pair, enum metric metric, double limit,
                              struct error *err)
{
    enum status status = STATUS_OK;
    *judgement = (struct judgement){.baseline = pair->title[0], .candidate = pair->title[1]};
    if (is_different(sides, pair)) {
        judgement->kind = JUDGED_INVALID;
        judgement->sentence =
            arena_printf(&sides->arena, "%s: nothing to judge.", metric_infos[metric].title);
    } else if (sides->one_run) {
        judge_within(judgement, &sides->summary[0], pair, metric, limit, &sides->arena);
    } else {
        status = judge_between(judgement, sides, pair, metric, limit, err);
    }
    return status ? status : caveats_append(judgement, sides, pair, err);
}

/* An engine cannot be judged by two machines; what else changed is only said. */
static enum status runs_check(struct sides *sides, struct error *err)
{
    const char *differs, *asides[BETWEEN_ASIDES];
    size_t count = 0;
    enum status status =
        between_machines(&sides->record[0], &sides->record[1], &differs, &sides->arena, err);
    if (!status && differs) {
        error_set(err, STATUS_USAGE, "runs %lld and %lld were made on two machines: %s",
                  (long long)sides->record[0].id, (long long)sides->record[1].id, differs);
        return error_remedy(err, "'prony compare' shows both, without a verdict.");
    }
    if (!status)
        status = between_asides(&sides->record[0], &sides->record[1], asides, &count, &sides->arena,
                                err);
    for (size_t i = 0; i < count && !status; i++)
        fprintf(stderr, "Note: this changed as well: %s.\n", asides[i]);
    return status;
}

static enum status file_make(const char *path, const struct judgement *list, size_t count,
                             void (*write)(FILE *, const struct judgement *, size_t),
                             struct error *err)
{
    struct file_writer writer = {0};
    if (!path)
        return STATUS_OK;
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    write(writer.stream, list, count);
    return file_writer_commit(&writer, err);
}

static enum status tell(const struct gate_options *o, const struct judgement *list, size_t count,
                        struct error *err)
{
    enum status status = file_make(o->junit, list, count, judgement_junit, err);
    if (!status)
        status = file_make(o->markdown, list, count, judgement_markdown, err);
    if (status)
        return status;
    judgement_print(stdout, list, count);
    return fflush(stdout) || ferror(stdout) ? error_errno(err, "write to standard output")
                                            : STATUS_OK;
}

static enum status gate(const struct gate_options *o, struct sides *sides, int *result,
                        struct error *err)
{
    static const int exits[] = {EXIT_PASS, EXIT_REGRESSION, EXIT_UNDECIDED, EXIT_INVALID};
    double limit = 0;
    struct judgement *list = arena_array(&sides->arena, sides->pair_count, sizeof *list);
    if (!list)
        return error_no_memory(err, sides->pair_count * sizeof *list);
    enum status status = limit_parse(o->worse_than, &limit, err);
    if (!status && !sides->one_run)
        status = runs_check(sides, err);
    for (size_t i = 0; i < sides->pair_count && !status; i++)
        status = pair_judge(&list[i], sides, &sides->pairs[i], sides_metric(o->metric), limit, err);
    if (!status)
        status = tell(o, list, sides->pair_count, err);
    if (!status)
        *result = exits[judgement_all(list, sides->pair_count)];
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    const struct gate_options *o = given;
    const char *const words[2] = {args->items[0], args->items[1]};
    struct sides sides;
    struct error err;
    int result = EXIT_ERROR;
    enum status status = sides_open(&sides, o->store, words, o->run, &err);
    if (!status) {
        status = gate(o, &sides, &result, &err);
        sides_free(&sides);
    }
    return status ? command_fail(&err) : result;
}

const struct command command_gate = {
    .name = "gate",
    .summary = "Says by its exit status whether a candidate is slower than a baseline.",
    .positional = "BASELINE CANDIDATE",
    .min_args = 2,
    .max_args = 2,
    .options = options,
    .options_bytes = sizeof(struct gate_options),
    .defaults = &defaults,
    .details =
        "BASELINE and CANDIDATE are variants of one run (native-f16), versions of an engine in it "
        "(pytorch@2.14.0), runs (7) or variants of runs (7:native-f16). The status is 0 when every "
        "candidate is shown to be no worse than the limit, 3 when one is shown to be worse, 5 when "
        "one was not measured or is not equivalent, 4 when the blocks cannot tell. Runs must have "
        "done the same work on "
        "the same machine.\n"
        "\n"
        "  prony gate native-f32 native-f16\n"
        "  prony gate 7 8 --worse-than 5%\n"
        "  prony gate old new --metric ttft --worse-than 3% --junit gate.xml\n",
    .exits = 1u << EXIT_REGRESSION | 1u << EXIT_UNDECIDED | 1u << EXIT_INVALID,
    .run = run,
};
