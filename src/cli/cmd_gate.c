/* prony gate: may one variant of a stored run take the place of another? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/gate.h"
#include "cli/command.h"
#include "report/phrase.h"
#include "report/text.h"
#include "store/store.h"

struct gate_options {
    const char *metric, *worse_than, *junit, *markdown, *store;
    int64_t run;
};

#define FIELD(name) offsetof(struct gate_options, name)

static const struct gate_options defaults = {.metric = "tpot"};

static const struct option options[] = {
    {.name = "metric",
     .kind = OPTION_CHOICE,
     .choices = "tpot ttft model-load cold-start whole-start peak-memory",
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
     .help = "The run's number; by default the newest.",
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

static const struct {
    const char *name;
    enum metric metric;
} metrics[] = {{"tpot", METRIC_TPOT},
               {"ttft", METRIC_TTFT},
               {"model-load", METRIC_MODEL_LOAD},
               {"cold-start", METRIC_COLD_START},
               {"whole-start", METRIC_START_TO_FIRST_TOKEN},
               {"peak-memory", METRIC_PEAK_MEMORY}};

/* What a gate says, in one title and one sentence, and the status that it ends with. */
struct answer {
    const char *baseline, *candidate, *title, *sentence;
    int exit;
};

static enum metric metric_named(const char *name)
{
    size_t i = 0;
    while (strcmp(metrics[i].name, name) != 0) /* one of .choices */
        i++;
    return metrics[i].metric;
}

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

static enum status variant_find(const struct summary *summary, const char *name, size_t *index,
                                struct error *err)
{
    for (*index = 0; *index < summary->variant_count; ++*index)
        if (strcmp(summary->variants[*index].variant->name, name) == 0)
            return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "run %lld has no variant '%s'", (long long)summary->run->id,
              name);
    return error_remedy(err, "'prony report %lld --output run.json' names them.",
                        (long long)summary->run->id);
}

/* What there is to say of a pair that was measured. */
static void judged(struct answer *answer, const struct comparison *found, double limit,
                   struct arena *arena)
{
    static const char *const titles[] = {"Pass", "Regression", "Undecided"};
    static const int exits[] = {EXIT_PASS, EXIT_REGRESSION, EXIT_UNDECIDED};
    const struct estimate *ratio = &found->ratio;
    struct gate gate = gate_judge(ratio, limit);
    answer->title = titles[gate.outcome];
    answer->exit = exits[gate.outcome];
    answer->sentence = arena_printf(
        arena, "%s: %s is %.3f times as good as %s (%.3f–%.3f, %zu blocks); the limit is %.3f.",
        metric_infos[found->metric].title, answer->candidate, ratio->value, answer->baseline,
        ratio->low, ratio->high, ratio->blocks, 1 / (1 + gate.limit));
    if (answer->sentence && gate.outcome == GATE_UNDECIDED)
        answer->sentence =
            gate.more_blocks
                ? arena_printf(arena, "%s About %zu more blocks would decide.", answer->sentence,
                               gate.more_blocks)
                : arena_printf(arena, "%s It lies on the limit: more blocks will hardly decide.",
                               answer->sentence);
}

static enum status answer_make(struct answer *answer, const struct summary *summary,
                               const struct gate_options *o, const struct option_list *args,
                               struct arena *arena, struct error *err)
{
    size_t baseline = 0, candidate = 0;
    double limit;
    struct comparison found;
    enum metric metric = metric_named(o->metric);
    enum status status = limit_parse(o->worse_than, &limit, err);
    if (!status)
        status = variant_find(summary, args->items[0], &baseline, err);
    if (!status)
        status = variant_find(summary, args->items[1], &candidate, err);
    if (!status && baseline == candidate) {
        error_set(err, STATUS_USAGE, "'%s' is both the baseline and the candidate", args->items[0]);
        status = error_remedy(err, "Name two variants of the run.");
    }
    if (status)
        return status;
    answer->baseline = text_clean(arena, args->items[0]);
    answer->candidate = text_clean(arena, args->items[1]);
    if (!answer->baseline || !answer->candidate)
        return error_no_memory(err, strlen(args->items[0]));
    if (comparison_find(summary, candidate, baseline, metric, &found)) {
        judged(answer, &found, fmax(limit, expm1(summary->controls[metric].zone)), arena);
    } else {
        answer->title = "Invalid";
        answer->exit = EXIT_INVALID;
        answer->sentence =
            arena_printf(arena, "%s: no block measured both %s and %s.", metric_infos[metric].title,
                         answer->candidate, answer->baseline);
    }
    return answer->sentence ? STATUS_OK : error_no_memory(err, 0);
}

/* XML and Markdown share what has to be written otherwise in text: both take entities. */
static void entities_write(FILE *stream, const char *text)
{
    for (; text && *text; text++) {
        if (strchr("&<>\"'|*_`[]\\#", *text))
            fprintf(stream, "&#%d;", *text);
        else
            fputc(*text, stream);
    }
}

static void junit_write(FILE *stream, const struct answer *answer)
{
    bool good = answer->exit == EXIT_PASS, regression = answer->exit == EXIT_REGRESSION;
    const char *element = regression ? "failure" : "error";
    fprintf(stream,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"prony gate\" tests=\"1\" failures=\"%d\" errors=\"%d\">\n"
            "  <testcase classname=\"prony.gate\" name=\"",
            regression, !good && !regression);
    entities_write(stream, answer->candidate);
    fputs(" against ", stream);
    entities_write(stream, answer->baseline);
    fputs("\">\n    ", stream);
    if (!good)
        fprintf(stream, "<%s message=\"%s\">", element, answer->title);
    else
        fputs("<system-out>", stream);
    entities_write(stream, answer->sentence);
    fprintf(stream, "</%s>\n  </testcase>\n</testsuite>\n", good ? "system-out" : element);
}

static void markdown_write(FILE *stream, const struct answer *answer)
{
    fprintf(stream, "**%s.** ", answer->title);
    entities_write(stream, answer->sentence);
    fputc('\n', stream);
}

static enum status file_make(const char *path, const struct answer *answer,
                             void (*write)(FILE *, const struct answer *), struct error *err)
{
    struct file_writer writer = {0};
    if (!path)
        return STATUS_OK;
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    write(writer.stream, answer);
    return file_writer_commit(&writer, err);
}

static enum status gate(const struct gate_options *o, const struct option_list *args, int *result,
                        struct error *err)
{
    struct store *store = NULL;
    struct arena arena = {0};
    struct record_run record;
    struct summary summary = {0};
    struct answer answer = {0};
    enum status status = store_open_read(&store, o->store, err);
    if (!status)
        status = store_run_load(store, o->run, &record, &arena, err);
    if (!status)
        status = summary_make(&summary, &record, err);
    if (!status)
        status = answer_make(&answer, &summary, o, args, &arena, err);
    if (!status)
        status = file_make(o->junit, &answer, junit_write, err);
    if (!status)
        status = file_make(o->markdown, &answer, markdown_write, err);
    if (!status) {
        *result = answer.exit;
        printf("%s. %s\n", answer.title, answer.sentence);
        if (fflush(stdout) || ferror(stdout))
            status = error_errno(err, "write to standard output");
    }
    summary_free(&summary);
    store_close(store);
    arena_free(&arena);
    return status;
}

static int run(const void *given, const struct option_list *args)
{
    struct error err;
    int result = EXIT_ERROR;
    if (gate(given, args, &result, &err) == STATUS_OK)
        return result;
    return command_fail(&err);
}

const struct command command_gate = {
    .name = "gate",
    .summary = "Says by its exit status whether one variant of a run is slower than another.",
    .positional = "BASELINE CANDIDATE",
    .min_args = 2,
    .max_args = 2,
    .options = options,
    .options_bytes = sizeof(struct gate_options),
    .defaults = &defaults,
    .details =
        "BASELINE and CANDIDATE are variants of one run, measured in the same blocks. The "
        "status is 0 when the candidate is shown to be no worse than the limit, 3 when it is "
        "shown to be worse, 4 when the blocks cannot tell, 5 when there is nothing to "
        "compare.\n"
        "\n"
        "  prony gate native-f32 native-f16\n"
        "  prony gate old new --metric ttft --worse-than 3% --junit gate.xml\n",
    .exits = 1u << EXIT_REGRESSION | 1u << EXIT_UNDECIDED | 1u << EXIT_INVALID,
    .run = run,
};
