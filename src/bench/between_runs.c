/* What two stored runs must have in common to be compared at all. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bench/between.h"

enum { DEEPEST = 3 };

struct part {
    const char *title, *path[DEEPEST];
};

static const struct part work[] = {
    {"the model (SHA-256)", {"model_sha256"}},
    {"the device", {"device"}},
    {"the threads", {"threads"}},
    {"the context", {"context"}},
    {"the length of the prompt", {"prompt_tokens"}},
    {"the prompt", {"prompt"}},
    {"the tokens counted", {"iterations"}},
    {"the warm-up", {"warmup"}},
};
static const struct part machine[] = {
    {"the processor", {"machine", "cpu", "model"}},
    {"the cores that may be used", {"machine", "cpu", "cores_allowed"}},
    {"the machine's memory", {"machine", "memory", "total_bytes"}},
};
static const struct part versions[] = {
    {"Prony's version", {"versions", "prony"}},
};

static enum status parse(json_t **object, const char *text, const char *origin, struct error *err)
{
    *object = text && *text ? json_parse(text, strlen(text), origin, err) : json_object();
    return *object ? STATUS_OK : err->status;
}

static const json_t *member(const json_t *object, const struct part *part)
{
    for (size_t i = 0; i < DEEPEST && part->path[i]; i++)
        object = json_object_get(object, part->path[i]);
    return object;
}

/* "the processor was AMD EPYC, and is Intel Xeon"; long values are cut. NULL: no memory. */
static const char *difference(const struct part *part, const json_t *a, const json_t *b,
                              struct arena *arena)
{
    char *was = a ? json_dumps(a, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *is = b ? json_dumps(b, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    const char *text = arena_printf(arena, "%s: %.80s in one run, %.80s in the other", part->title,
                                    was ? was : "not known", is ? is : "not known");
    free(was);
    free(is);
    return text;
}

/* The first part that differs, as text; *text NULL when none does. */
static enum status first_difference(const char **text, const struct part *parts, size_t count,
                                    const json_t *a, const json_t *b, struct arena *arena,
                                    struct error *err)
{
    *text = NULL;
    for (size_t i = 0; i < count && !*text; i++) {
        const json_t *one = member(a, &parts[i]), *other = member(b, &parts[i]);
        if ((!one && !other) || json_equal(one, other))
            continue;
        *text = difference(&parts[i], one, other, arena);
        if (!*text)
            return error_no_memory(err, 0);
    }
    return STATUS_OK;
}

enum status between_same_work(const struct record_run *a, const struct record_run *b,
                              struct error *err)
{
    json_t *one = NULL, *other = NULL;
    const char *text = NULL;
    struct arena arena = {0};
    enum status status = parse(&one, a->plan, "the baseline's plan", err);
    if (!status)
        status = parse(&other, b->plan, "the other run's plan", err);
    if (!status)
        status =
            first_difference(&text, work, sizeof work / sizeof work[0], one, other, &arena, err);
    if (!status && text) {
        error_set(err, STATUS_USAGE, "runs %lld and %lld did different work: %s", (long long)a->id,
                  (long long)b->id, text);
        status = error_remedy(err, "Compare runs of one model with the same options.");
    }
    json_decref(one);
    json_decref(other);
    arena_free(&arena);
    return status;
}

enum status between_machines(const struct record_run *a, const struct record_run *b,
                             const char **differs, const char **aside, struct arena *arena,
                             struct error *err)
{
    json_t *one = NULL, *other = NULL;
    *differs = *aside = NULL;
    enum status status = parse(&one, a->manifest, "the baseline's manifest", err);
    if (!status)
        status = parse(&other, b->manifest, "the other run's manifest", err);
    if (!status)
        status = first_difference(differs, machine, sizeof machine / sizeof machine[0], one, other,
                                  arena, err);
    if (!status)
        status = first_difference(aside, versions, sizeof versions / sizeof versions[0], one, other,
                                  arena, err);
    json_decref(one);
    json_decref(other);
    return status;
}
