#include "cli/sides.h"

#include <stdlib.h>
#include <string.h>

#include "cli/run_number.h"
#include "report/text.h"
#include "store/store.h"

/* One word: a run, and a name within it; NULL: all of the run. */
struct word {
    const char *text, *name;
    int64_t run;
    size_t *variants;
    size_t count;
};

static enum status word_parse(struct word *word, const char *text, int64_t run, struct arena *arena,
                              struct error *err)
{
    size_t digits = strspn(text, "0123456789");
    *word = (struct word){.text = text, .name = text, .run = run};
    if (digits == 0 || (text[digits] && text[digits] != ':'))
        return STATUS_OK;
    const char *number = arena_strndup(arena, text, digits);
    word->name = text[digits] ? text + digits + 1 : NULL;
    return number ? run_number_parse(number, &word->run, err) : error_no_memory(err, digits);
}

/* Whether a variant is of the engine version that a name like pytorch@2.14.0 stands for. */
static bool of_version(const struct record_variant *variant, const char *name)
{
    const char *version = strrchr(name, '@'), *own = strrchr(variant->name, '@');
    return version && own && strcmp(version, own) == 0 &&
           strncmp(variant->engine, name, (size_t)(version - name)) == 0;
}

static enum status word_resolve(struct word *word, const struct summary *summary,
                                struct arena *arena, struct error *err)
{
    word->variants = arena_array(arena, summary->variant_count + 1, sizeof *word->variants);
    if (!word->variants)
        return error_no_memory(err, summary->variant_count * sizeof *word->variants);
    for (size_t i = 0; i < summary->variant_count; i++)
        if (word->name && strcmp(summary->variants[i].variant->name, word->name) == 0) {
            word->variants[word->count++] = i;
            return STATUS_OK;
        }
    for (size_t i = 0; i < summary->variant_count; i++) {
        const struct summary_variant *variant = &summary->variants[i];
        if (!variant->control && (!word->name || of_version(variant->variant, word->name)))
            word->variants[word->count++] = i;
    }
    if (word->count)
        return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "run %lld has no variant '%s'", (long long)summary->run->id,
              word->name ? word->name : "");
    return error_remedy(err, "'prony results show %lld' names them.", (long long)summary->run->id);
}

/* Length of a name without its @VERSION. */
static size_t base_length(const char *name)
{
    const char *version = strrchr(name, '@');
    return version ? (size_t)(version - name) : strlen(name);
}

static bool same_base(const char *a, const char *b)
{
    size_t length = base_length(a);
    return length == base_length(b) && strncmp(a, b, length) == 0;
}

const struct summary *sides_second(const struct sides *sides)
{
    return &sides->summary[sides->one_run ? 0 : 1];
}

/* With the run's number where there are two. */
static const char *title_of(struct sides *sides, const struct summary *summary, size_t variant)
{
    const char *name = text_clean(&sides->arena, summary->variants[variant].variant->name);
    if (!name || sides->one_run)
        return name;
    return arena_printf(&sides->arena, "%lld:%s", (long long)summary->run->id, name);
}

static enum status pair_add(struct sides *sides, size_t a, size_t b, struct error *err)
{
    struct sides_pair *pair = &sides->pairs[sides->pair_count];
    *pair = (struct sides_pair){
        a, b, {title_of(sides, &sides->summary[0], a), title_of(sides, sides_second(sides), b)}};
    if (!pair->title[0] || !pair->title[1])
        return error_no_memory(err, sizeof *pair);
    sides->pair_count++;
    return STATUS_OK;
}

static enum status pairs_make(struct sides *sides, const struct word words[2], struct error *err)
{
    const struct summary *first = &sides->summary[0], *second = sides_second(sides);
    bool single = words[0].count == 1 && words[1].count == 1 && words[0].name && words[1].name;
    enum status status = STATUS_OK;
    sides->pairs =
        arena_array(&sides->arena, words[0].count * words[1].count + 1, sizeof *sides->pairs);
    if (!sides->pairs)
        return error_no_memory(err, words[0].count * sizeof *sides->pairs);
    for (size_t i = 0; i < words[0].count && !status; i++)
        for (size_t j = 0; j < words[1].count && !status; j++) {
            size_t a = words[0].variants[i], b = words[1].variants[j];
            bool same = sides->one_run && a == b;
            if (!same && (single || same_base(first->variants[a].variant->name,
                                              second->variants[b].variant->name)))
                status = pair_add(sides, a, b, err);
        }
    if (status || sides->pair_count)
        return status;
    error_set(err, STATUS_USAGE,
              strcmp(words[0].text, words[1].text) == 0
                  ? "'%s' is both the baseline and the candidate"
                  : "'%s' and '%s' have no two variants of one name to compare",
              words[0].text, words[1].text);
    return error_remedy(err, "Name two variants, as NAME or RUN:NAME.");
}

static enum status load(struct sides *sides, const char *store_path, const struct word words[2],
                        struct error *err)
{
    struct store *store = NULL;
    enum status status = store_open_read(&store, store_path, err);
    if (!status)
        status = store_run_load(store, words[0].run, &sides->record[0], &sides->arena, err);
    if (!status)
        status = store_run_load(store, words[1].run, &sides->record[1], &sides->arena, err);
    store_close(store);
    if (status)
        return status;
    sides->one_run = sides->record[0].id == sides->record[1].id;
    if (!sides->one_run)
        status = between_same_work(&sides->record[0], &sides->record[1], err);
    if (!status)
        status = summary_make(&sides->summary[0], &sides->record[0], err);
    if (!status && !sides->one_run)
        status = summary_make(&sides->summary[1], &sides->record[1], err);
    return status;
}

enum status sides_open(struct sides *sides, const char *store_path, const char *const words[2],
                       int64_t run, struct error *err)
{
    struct word word[2];
    *sides = (struct sides){.pairs = NULL};
    enum status status = word_parse(&word[0], words[0], run, &sides->arena, err);
    if (!status)
        status = word_parse(&word[1], words[1], run, &sides->arena, err);
    if (!status)
        status = load(sides, store_path, word, err);
    if (!status)
        status = word_resolve(&word[0], &sides->summary[0], &sides->arena, err);
    if (!status)
        status = word_resolve(&word[1], sides_second(sides), &sides->arena, err);
    if (!status)
        status = pairs_make(sides, word, err);
    if (status)
        sides_free(sides);
    return status;
}

void sides_free(struct sides *sides)
{
    summary_free(&sides->summary[0]);
    summary_free(&sides->summary[1]);
    arena_free(&sides->arena);
    *sides = (struct sides){.pairs = NULL};
}

enum metric sides_metric(const char *word)
{
    static const struct {
        const char *word;
        enum metric metric;
    } metrics[] = {{"tpot", METRIC_TPOT},
                   {"ttft", METRIC_TTFT},
                   {"model-load", METRIC_MODEL_LOAD},
                   {"cold-start", METRIC_COLD_START},
                   {"whole-start", METRIC_START_TO_FIRST_TOKEN},
                   {"peak-memory", METRIC_PEAK_MEMORY}};
    size_t i = 0;
    while (strcmp(metrics[i].word, word) != 0) /* one of SIDES_METRICS, by the option's table */
        i++;
    return metrics[i].metric;
}
