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
    {"whether it was a fair comparison", {"fair_comparison"}},
};
static const struct part machine[] = {
    {"the processor", {"machine", "cpu", "model"}},
    {"the cores that may be used", {"machine", "cpu", "cores_allowed"}},
    {"the machine's memory", {"machine", "memory", "total_bytes"}},
};
static const struct part card = {"the GPU", {"gpu"}};
static const struct part version = {"Prony's version", {"versions", "prony"}};
static const struct part plan_asides[] = {
    {"whether disturbed blocks were measured again", {"redo"}},
    {"the positions of the equivalence gate", {"gate_context"}},
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

/* As JSON; of a run from before there was a choice, what it did. */
static char *value_text(const struct part *part, const json_t *value)
{
    bool flag = strcmp(part->path[0], "fair_comparison") == 0 || strcmp(part->path[0], "redo") == 0;
    if (!value && flag)
        return strdup("true");
    return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("not known");
}

/* "the processor: \"A\" in one run, \"B\" in the other" where a part differs, long values cut;
 * *text NULL where it does not. */
static enum status difference(const char **text, const struct part *part, const json_t *a,
                              const json_t *b, struct arena *arena, struct error *err)
{
    char *one = value_text(part, member(a, part)), *other = value_text(part, member(b, part));
    bool differ = one && other && strcmp(one, other) != 0;
    *text = differ ? arena_printf(arena, "%s: %.80s in one run, %.80s in the other", part->title,
                                  one, other)
                   : NULL;
    bool failed = !one || !other || (differ && !*text);
    free(one);
    free(other);
    return failed ? error_no_memory(err, 0) : STATUS_OK;
}

/* The first part that differs. */
static enum status first_difference(const char **text, const struct part *parts, size_t count,
                                    const json_t *a, const json_t *b, struct arena *arena,
                                    struct error *err)
{
    enum status status = STATUS_OK;
    *text = NULL;
    for (size_t i = 0; i < count && !*text && !status; i++)
        status = difference(text, &parts[i], a, b, arena, err);
    return status;
}

/* Two texts of the same kind, parsed; the caller's references, even on failure. */
static enum status parse_both(json_t *both[2], const char *one, const char *other,
                              const char *origin, struct error *err)
{
    enum status status = parse(&both[0], one, origin, err);
    return status ? status : parse(&both[1], other, origin, err);
}

static void release(json_t *both[2])
{
    json_decref(both[0]);
    json_decref(both[1]);
}

enum status between_same_work(const struct record_run *a, const struct record_run *b,
                              struct error *err)
{
    json_t *plans[2] = {0};
    const char *text = NULL;
    struct arena arena = {0};
    enum status status = parse_both(plans, a->plan, b->plan, "a run's plan", err);
    if (!status)
        status = first_difference(&text, work, sizeof work / sizeof work[0], plans[0], plans[1],
                                  &arena, err);
    if (!status && text) {
        error_set(err, STATUS_USAGE, "runs %lld and %lld did different work: %s", (long long)a->id,
                  (long long)b->id, text);
        status = error_remedy(err, "Compare runs of one model with the same options.");
    }
    release(plans);
    arena_free(&arena);
    return status;
}

enum status between_machines(const struct record_run *a, const struct record_run *b,
                             const char **differs, struct arena *arena, struct error *err)
{
    json_t *manifests[2] = {0}, *plans[2] = {0};
    *differs = NULL;
    enum status status = parse_both(manifests, a->manifest, b->manifest, "a run's manifest", err);
    if (!status)
        status = parse_both(plans, a->plan, b->plan, "a run's plan", err);
    if (!status)
        status = first_difference(differs, machine, sizeof machine / sizeof machine[0],
                                  manifests[0], manifests[1], arena, err);
    if (!status && !*differs)
        status = difference(differs, &card, plans[0], plans[1], arena, err);
    release(manifests);
    release(plans);
    return status;
}

/* Points of a sweep or of the load matrix: their processes stand between those that are compared.
 */
static enum status points_aside(const char **text, json_t *const plans[2], struct arena *arena,
                                struct error *err)
{
    const json_t *one = json_object_get(plans[0], "points");
    const json_t *other = json_object_get(plans[1], "points");
    *text = NULL;
    if ((!one && !other) || json_equal(one, other))
        return STATUS_OK;
    *text = arena_printf(arena,
                         "what each block held (sweeps, --cold): %zu points in one run, %zu in the "
                         "other",
                         json_array_size(one), json_array_size(other));
    return *text ? STATUS_OK : error_no_memory(err, 0);
}

enum status between_asides(const struct record_run *a, const struct record_run *b,
                           const char *asides[BETWEEN_ASIDES], size_t *count, struct arena *arena,
                           struct error *err)
{
    json_t *manifests[2] = {0}, *plans[2] = {0};
    *count = 0;
    enum status status = parse_both(manifests, a->manifest, b->manifest, "a run's manifest", err);
    if (!status)
        status = parse_both(plans, a->plan, b->plan, "a run's plan", err);
    if (!status)
        status = difference(&asides[*count], &version, manifests[0], manifests[1], arena, err);
    *count += !status && asides[*count];
    for (size_t i = 0; i < 2 && !status; i++) {
        status = difference(&asides[*count], &plan_asides[i], plans[0], plans[1], arena, err);
        *count += !status && asides[*count];
    }
    if (!status)
        status = points_aside(&asides[*count], plans, arena, err);
    *count += !status && asides[*count];
    release(manifests);
    release(plans);
    return status;
}
