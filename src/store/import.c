#include "store/import.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document.h"

static enum status member_read(const struct member *member, const json_t *object, void *record,
                               struct arena *arena, struct error *err)
{
    void *field = (char *)record + member->offset;
    const char *text = NULL;
    int64_t number = 0;
    enum status status;
    if (member->later && !json_object_get(object, member->key))
        return STATUS_OK;
    switch (member->kind) {
    case MEMBER_REAL:
        status = json_get_number(object, member->key, field, err);
        if (!status && *(double *)field < 0)
            status = error_set(err, STATUS_FORMAT, "\"%s\" is negative", member->key);
        return status;
    case MEMBER_TEXT:
    case MEMBER_TEXT_OR_NULL:
        if (member->kind == MEMBER_TEXT_OR_NULL &&
            json_is_null(json_object_get(object, member->key)))
            return STATUS_OK;
        status = json_get_string(object, member->key, &text, err);
        if (status)
            return status;
        *(const char **)field = arena_strdup(arena, text);
        return *(const char **)field ? STATUS_OK : error_no_memory(err, strlen(text));
    case MEMBER_U32:
    case MEMBER_U64:
    case MEMBER_I64:
        break;
    }
    status = json_get_int(object, member->key, member->low, member->high, &number, err);
    if (status)
        return status;
    if (member->kind == MEMBER_U32)
        *(uint32_t *)field = (uint32_t)number;
    else if (member->kind == MEMBER_U64)
        *(uint64_t *)field = (uint64_t)number;
    else
        *(int64_t *)field = number;
    return STATUS_OK;
}

static bool is_member(const struct member *members, const char *const *others, const char *key)
{
    for (; members && members->key; members++)
        if (strcmp(members->key, key) == 0)
            return true;
    for (; *others; others++)
        if (strcmp(*others, key) == 0)
            return true;
    return false;
}

/* Nothing that is not known: what is not read would be lost. */
static enum status keys_check(const json_t *object, const struct member *members,
                              const char *const *others, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        (void)value;
        if (!is_member(members, others, key))
            return error_set(err, STATUS_FORMAT,
                             "\"%.60s\" is not a member that this version knows", key);
    }
    return STATUS_OK;
}

static enum status members_read(const struct member *members, const char *const *others,
                                const json_t *object, void *record, struct arena *arena,
                                struct error *err)
{
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "this is no object");
    enum status status = keys_check(object, members, others, err);
    for (; !status && members->key; members++)
        status = member_read(members, object, record, arena, err);
    return status;
}

static enum status list_get(const json_t *object, const char *key, const json_t **list,
                            struct error *err)
{
    *list = json_object_get(object, key);
    if (!json_is_array(*list))
        return error_set(err, STATUS_FORMAT, "\"%s\" should be a list", key);
    return STATUS_OK;
}

static enum status phases_read(struct record_process *process, const json_t *object,
                               struct arena *arena, struct error *err)
{
    static const char *const none[] = {NULL};
    const json_t *list;
    if (list_get(object, "phases", &list, err))
        return err->status;
    process->phase_count = json_array_size(list);
    process->phases = arena_array(arena, process->phase_count + 1, sizeof *process->phases);
    if (!process->phases)
        return error_no_memory(err, process->phase_count);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < process->phase_count && !status; i++) {
        status = members_read(phase_members, none, json_array_get(list, i), &process->phases[i],
                              arena, err);
        if (status)
            error_where(err, "phase %zu", i + 1);
    }
    return status;
}

/* A whole number of a list. */
static enum status element_read(const json_t *list, size_t index, const char *key, int64_t low,
                                int64_t high, int64_t *number, struct error *err)
{
    const json_t *element = json_array_get(list, index);
    *number = json_integer_value(element);
    if (!json_is_integer(element) || *number < low || *number > high)
        return error_set(err, STATUS_FORMAT,
                         "\"%s\" should hold integers from %lld to %lld, which element %zu is not",
                         key, (long long)low, (long long)high, index + 1);
    return STATUS_OK;
}

/* A process that went well has its tokens in order, as the protocol demands of a worker. */
static enum status tokens_read(struct record_process *process, const json_t *object,
                               struct arena *arena, struct error *err)
{
    const json_t *ids, *stamps;
    if (list_get(object, "ids", &ids, err) || list_get(object, "stamps_ns", &stamps, err))
        return err->status;
    size_t count = json_array_size(ids);
    if (count != json_array_size(stamps))
        return error_set(err, STATUS_FORMAT, "\"ids\" and \"stamps_ns\" differ in length");
    process->token_count = count;
    process->ids = arena_array(arena, count + 1, sizeof *process->ids);
    process->stamps_ns = arena_array(arena, count + 1, sizeof *process->stamps_ns);
    if (!process->ids || !process->stamps_ns)
        return error_no_memory(err, count * sizeof *process->stamps_ns);
    int64_t before = process->failure ? 0 : process->prompt_ns;
    for (size_t i = 0; i < count; i++) {
        int64_t id, stamp;
        if (element_read(ids, i, "ids", INT32_MIN, INT32_MAX, &id, err) ||
            element_read(stamps, i, "stamps_ns", 0, INT64_C(1) << 61, &stamp, err))
            return err->status;
        if (!process->failure && stamp < before)
            return error_set(err, STATUS_FORMAT, "token %zu arrives before the one it follows",
                             i + 1);
        before = stamp;
        process->ids[i] = (int32_t)id;
        process->stamps_ns[i] = stamp;
    }
    return STATUS_OK;
}

/* An object of numbers by name; documents of version 1 have none. */
static enum status readings_read(struct record_process *process, const json_t *object,
                                 struct arena *arena, struct error *err)
{
    const json_t *readings = json_object_get(object, "readings");
    const char *name;
    json_t *value;
    if (!readings)
        return STATUS_OK;
    if (!json_is_object(readings))
        return error_set(err, STATUS_FORMAT, "\"readings\" should be an object");
    process->readings =
        arena_array(arena, json_object_size(readings) + 1, sizeof *process->readings);
    if (!process->readings)
        return error_no_memory(err, json_object_size(readings));
    json_object_foreach((json_t *)readings, name, value)
    {
        struct record_reading *reading = &process->readings[process->reading_count++];
        reading->name = arena_strdup(arena, name);
        if (!reading->name)
            return error_no_memory(err, strlen(name));
        if (json_get_number(readings, name, &reading->value, err))
            return err->status;
    }
    return STATUS_OK;
}

static enum status process_read(struct record_process *process, const struct record_run *run,
                                const json_t *object, struct arena *arena, struct error *err)
{
    static const char *const others[] = {"phases", "ids", "stamps_ns", "readings", NULL};
    enum status status = members_read(process_members, others, object, process, arena, err);
    if (!status && process->variant >= run->variant_count)
        status = error_set(err, STATUS_FORMAT, "\"variant\" is %u, but there are %zu",
                           process->variant, run->variant_count);
    if (!status)
        status = phases_read(process, object, arena, err);
    if (!status)
        status = readings_read(process, object, arena, err);
    return status ? status : tokens_read(process, object, arena, err);
}

/* What the gate found of a variant: null, or absent from documents of version 1. */
static enum status equivalence_read(struct record_run *run, size_t index, const json_t *variant,
                                    struct arena *arena, struct error *err)
{
    static const char *const none[] = {NULL};
    const json_t *object = json_object_get(variant, "equivalence");
    if (!object || json_is_null(object))
        return STATUS_OK;
    if (!run->equivalence)
        run->equivalence = arena_array(arena, run->variant_count + 1, sizeof *run->equivalence);
    if (!run->equivalence)
        return error_no_memory(err, run->variant_count);
    struct record_equivalence *record = &run->equivalence[index];
    enum status status = members_read(equivalence_members, none, object, record, arena, err);
    if (!status && ((uint64_t)record->broken + record->agreeing > record->positions ||
                    record->first >= (int64_t)record->positions))
        status = error_set(err, STATUS_FORMAT, "\"equivalence\" counts more than its positions");
    return status;
}

static enum status variants_read(struct record_run *run, const json_t *object, struct arena *arena,
                                 struct error *err)
{
    static const char *const others[] = {"equivalence", NULL};
    const json_t *list;
    if (list_get(object, "variants", &list, err))
        return err->status;
    run->variant_count = json_array_size(list);
    if (run->variant_count > DOCUMENT_MAX_VARIANTS)
        return error_set(err, STATUS_FORMAT, "\"variants\" has %zu elements, at most %d are taken",
                         run->variant_count, DOCUMENT_MAX_VARIANTS);
    run->variants = arena_array(arena, run->variant_count + 1, sizeof *run->variants);
    if (!run->variants)
        return error_no_memory(err, run->variant_count);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->variant_count && !status; i++) {
        status = members_read(variant_members, others, json_array_get(list, i), &run->variants[i],
                              arena, err);
        if (!status)
            status = equivalence_read(run, i, json_array_get(list, i), arena, err);
        if (status)
            error_where(err, "variant %zu", i + 1);
    }
    return status;
}

static enum status processes_read(struct record_run *run, const json_t *object, struct arena *arena,
                                  struct error *err)
{
    const json_t *list;
    if (list_get(object, "processes", &list, err))
        return err->status;
    run->process_count = json_array_size(list);
    run->processes = arena_array(arena, run->process_count + 1, sizeof *run->processes);
    if (!run->processes)
        return error_no_memory(err, run->process_count);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->process_count && !status; i++) {
        status = process_read(&run->processes[i], run, json_array_get(list, i), arena, err);
        if (status && *err->where) {
            char where[sizeof err->where];
            memcpy(where, err->where, sizeof where);
            error_where(err, "process %zu, %s", i + 1, where);
        } else if (status) {
            error_where(err, "process %zu", i + 1);
        }
    }
    return status;
}

/* Plan and manifest belong to those who made them: they are kept whole, as text. */
static enum status object_text(const json_t *object, const char *key, const char **text,
                               struct arena *arena, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_object(value))
        return error_set(err, STATUS_FORMAT, "\"%s\" should be an object", key);
    char *dumped = json_dumps(value, JSON_COMPACT);
    *text = dumped ? arena_strdup(arena, dumped) : NULL;
    free(dumped);
    return *text ? STATUS_OK : error_no_memory(err, 0);
}

/* "2026-01-31T12:00:00Z" */
static bool is_date(const char *text)
{
    static const char pattern[] = "0000-00-00T00:00:00Z";
    for (size_t i = 0; i < sizeof pattern; i++)
        if (pattern[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i])
            return false;
    return true;
}

static enum status run_texts_check(const struct record_run *run, struct error *err)
{
    if (strlen(run->uid) != 32 || strspn(run->uid, "0123456789abcdef") != 32)
        return error_set(err, STATUS_FORMAT, "\"uid\" should be 32 hexadecimal digits");
    if (!is_date(run->created))
        return error_set(err, STATUS_FORMAT,
                         "\"created\" should be a time like 2026-01-31T12:00:00Z");
    if (strcmp(run->state, "complete") != 0 && strcmp(run->state, "interrupted") != 0 &&
        strcmp(run->state, "running") != 0)
        return error_set(err, STATUS_FORMAT,
                         "\"state\" should be complete, interrupted or running");
    return STATUS_OK;
}

static enum status run_read(struct record_run *run, const json_t *object, struct arena *arena,
                            struct error *err)
{
    static const char *const others[] = {"run", "plan", "manifest", "variants", "processes", NULL};
    enum status status = members_read(run_members, others, object, run, arena, err);
    if (!status)
        status = run_texts_check(run, err);
    if (!status)
        status = json_get_int(object, "run", 1, INT64_MAX, &run->id, err);
    if (!status)
        status = object_text(object, "plan", &run->plan, arena, err);
    if (!status)
        status = object_text(object, "manifest", &run->manifest, arena, err);
    if (!status)
        status = variants_read(run, object, arena, err);
    return status ? status : processes_read(run, object, arena, err);
}

static enum status head_check(const json_t *document, struct error *err)
{
    static const char *const others[] = {"schema", "version", "prony", "runs", NULL};
    const char *text;
    int64_t version;
    if (json_get_string(document, "schema", &text, err) || strcmp(text, DOCUMENT_SCHEMA) != 0) {
        error_set(err, STATUS_FORMAT, "this is no export of Prony's runs");
        return error_remedy(err, "'prony results export RUN --output FILE' writes one.");
    }
    if (json_get_int(document, "version", 1, INT64_MAX, &version, err))
        return err->status;
    if (version > DOCUMENT_VERSION) {
        error_set(err, STATUS_UNSUPPORTED, "the export is of version %lld, this program reads %d",
                  (long long)version, DOCUMENT_VERSION);
        return error_remedy(err, "Import it with a newer version of Prony.");
    }
    if (json_get_string(document, "prony", &text, err))
        return err->status;
    return keys_check(document, NULL, others, err);
}

enum status import_document(const json_t *document, const char *origin, struct record_run **runs,
                            size_t *count, struct arena *arena, struct error *err)
{
    const json_t *list = NULL;
    enum status status = head_check(document, err);
    if (!status)
        status = list_get(document, "runs", &list, err);
    if (status)
        return error_where(err, "%s", origin);
    *count = json_array_size(list);
    *runs = arena_array(arena, *count + 1, sizeof **runs);
    if (!*runs)
        return error_no_memory(err, *count);
    for (size_t i = 0; i < *count && !status; i++) {
        status = run_read(&(*runs)[i], json_array_get(list, i), arena, err);
        if (status) {
            char where[sizeof err->where];
            memcpy(where, err->where, sizeof where);
            error_where(err, "%s, run %zu%s%.200s", origin, i + 1, *where ? ", " : "", where);
        }
    }
    return status;
}
