#include "store/export.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document.h"

static json_t *json_text(const char *text)
{
    json_t *value = text ? json_string(text) : json_null();
    if (value || !text)
        return value;
    char *ascii = strdup(text);
    for (char *c = ascii; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = ascii ? json_string(ascii) : NULL;
    free(ascii);
    return value;
}

static json_t *member_json(const struct member *member, const void *record)
{
    const void *field = (const char *)record + member->offset;
    switch (member->kind) {
    case MEMBER_U32:
        return json_integer(*(const uint32_t *)field);
    case MEMBER_U64:
        return json_integer((json_int_t) * (const uint64_t *)field);
    case MEMBER_I64:
        return json_integer(*(const int64_t *)field);
    case MEMBER_REAL:
        return json_real(*(const double *)field);
    case MEMBER_TEXT: {
        const char *text = *(const char *const *)field;
        return json_text(text ? text : "");
    }
    case MEMBER_TEXT_OR_NULL:
        return json_text(*(const char *const *)field);
    }
    return NULL;
}

static json_t *members_json(const struct member *members, const void *record)
{
    json_t *object = json_object();
    for (; object && members->key; members++)
        if (json_object_set_new(object, members->key, member_json(members, record))) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

static json_t *phases_json(const struct record_process *process)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < process->phase_count; i++)
        if (json_array_append_new(list, members_json(phase_members, &process->phases[i]))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *readings_json(const struct record_process *process)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < process->reading_count; i++)
        if (json_object_set_new(object, process->readings[i].name,
                                json_real(process->readings[i].value))) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

static json_t *process_json(const struct record_process *process)
{
    json_t *object = members_json(process_members, process);
    json_t *ids = json_array(), *stamps = json_array();
    bool failed = !object || !ids || !stamps;
    for (size_t i = 0; !failed && i < process->token_count; i++)
        failed = json_array_append_new(ids, json_integer(process->ids[i])) ||
                 json_array_append_new(stamps, json_integer(process->stamps_ns[i]));
    failed = failed || json_object_set_new(object, "phases", phases_json(process)) ||
             json_object_set_new(object, "readings", readings_json(process)) ||
             json_object_set(object, "ids", ids) || json_object_set(object, "stamps_ns", stamps);
    json_decref(ids);
    json_decref(stamps);
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* A column with what the gate found of it, null where it found nothing. */
static json_t *variant_json(const struct record_run *run, size_t index)
{
    const struct record_equivalence *found = run->equivalence ? &run->equivalence[index] : NULL;
    json_t *object = members_json(variant_members, &run->variants[index]);
    if (object &&
        json_object_set_new(object, "equivalence",
                            found && found->precision ? members_json(equivalence_members, found)
                                                      : json_null())) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *variants_json(const struct record_run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < run->variant_count; i++)
        if (json_array_append_new(list, variant_json(run, i))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *processes_json(const struct record_run *run)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < run->process_count; i++)
        if (json_array_append_new(list, process_json(&run->processes[i]))) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static bool is_finite(const struct record_process *process)
{
    bool finite = isfinite(process->bandwidth) && isfinite(process->load_average);
    for (size_t i = 0; i < process->reading_count; i++)
        finite = finite && isfinite(process->readings[i].value);
    return finite;
}

/* What JSON cannot hold comes from a damaged store only. */
static enum status check(const struct record_run *run, struct error *err)
{
    for (size_t i = 0; i < run->process_count; i++)
        if (!is_finite(&run->processes[i])) {
            error_set(err, STATUS_FORMAT, "process %zu holds a number that is none", i + 1);
            return error_where(err, "run %lld", (long long)run->id);
        }
    return STATUS_OK;
}

json_t *export_run(const struct record_run *run, struct error *err)
{
    if (check(run, err))
        return NULL;
    json_t *plan = json_parse(run->plan, strlen(run->plan), "the run's plan", err);
    if (!plan)
        return NULL;
    json_t *manifest = json_parse(run->manifest, strlen(run->manifest), "the run's manifest", err);
    if (!manifest) {
        json_decref(plan);
        return NULL;
    }
    json_t *object = json_pack("{s:I}", "run", (json_int_t)run->id);
    json_t *members = members_json(run_members, run);
    bool failed = !object || !members || json_object_update(object, members) ||
                  json_object_set(object, "plan", plan) ||
                  json_object_set(object, "manifest", manifest) ||
                  json_object_set_new(object, "variants", variants_json(run)) ||
                  json_object_set_new(object, "processes", processes_json(run));
    json_decref(members);
    json_decref(plan);
    json_decref(manifest);
    if (failed) {
        json_decref(object);
        error_no_memory(err, 0);
        return NULL;
    }
    return object;
}

json_t *export_document(struct error *err)
{
    json_t *document = json_pack("{s:s, s:i, s:s, s:[]}", "schema", DOCUMENT_SCHEMA, "version",
                                 DOCUMENT_VERSION, "prony", PRONY_VERSION, "runs");
    if (!document)
        error_no_memory(err, 0);
    return document;
}

enum status export_document_add(json_t *document, const struct record_run *run, struct error *err)
{
    json_t *object = export_run(run, err);
    if (!object)
        return err->status;
    if (json_array_append_new(json_object_get(document, "runs"), object))
        return error_no_memory(err, 0);
    return STATUS_OK;
}
