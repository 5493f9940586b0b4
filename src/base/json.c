#include "base/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"

json_t *json_parse(const char *text, size_t bytes, const char *origin, struct error *err)
{
    json_error_t problem;
    json_t *value = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &problem);
    if (!value) {
        error_set(err, STATUS_FORMAT, "not valid JSON: %s", problem.text);
        error_where(err, "%s, line %d, column %d", origin, problem.line, problem.column);
    } else if (!json_is_object(value)) {
        json_decref(value);
        value = NULL;
        error_set(err, STATUS_FORMAT, "the JSON is not an object");
        error_where(err, "%s", origin);
    }
    return value;
}

json_t *json_read(const char *path, size_t limit, struct error *err)
{
    char *text;
    size_t bytes;
    if (file_read(path, limit, &text, &bytes, err))
        return NULL;
    json_t *value = json_parse(text, bytes, path, err);
    free(text);
    return value;
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return value ? names[json_typeof(value)] : "missing";
}

static enum status wrong(struct error *err, const char *key, const json_t *value,
                         const char *wanted)
{
    if (!value)
        return error_set(err, STATUS_FORMAT, "\"%s\" is missing; it should be %s", key, wanted);
    return error_set(err, STATUS_FORMAT, "\"%s\" is %s; it should be %s", key, type_name(value),
                     wanted);
}

static bool absent(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value);
}

enum status json_get_string(const json_t *object, const char *key, const char **value,
                            struct error *err)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_string(member))
        return wrong(err, key, member, "a string");
    *value = json_string_value(member);
    return STATUS_OK;
}

enum status json_get_string_or(const json_t *object, const char *key, const char *otherwise,
                               const char **value, struct error *err)
{
    *value = otherwise;
    return absent(object, key) ? STATUS_OK : json_get_string(object, key, value, err);
}

enum status json_get_int(const json_t *object, const char *key, int64_t low, int64_t high,
                         int64_t *value, struct error *err)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_integer(member))
        return wrong(err, key, member, "an integer");
    int64_t number = json_integer_value(member);
    if (number < low || number > high)
        return error_set(err, STATUS_FORMAT, "\"%s\" is %lld; it should be between %lld and %lld",
                         key, (long long)number, (long long)low, (long long)high);
    *value = number;
    return STATUS_OK;
}

enum status json_get_int_or(const json_t *object, const char *key, int64_t low, int64_t high,
                            int64_t otherwise, int64_t *value, struct error *err)
{
    *value = otherwise;
    return absent(object, key) ? STATUS_OK : json_get_int(object, key, low, high, value, err);
}

enum status json_get_number(const json_t *object, const char *key, double *value, struct error *err)
{
    const json_t *member = json_object_get(object, key);
    if (!json_is_number(member) || !isfinite(json_number_value(member)))
        return wrong(err, key, member, "a finite number");
    *value = json_number_value(member);
    return STATUS_OK;
}

enum status json_get_number_or(const json_t *object, const char *key, double otherwise,
                               double *value, struct error *err)
{
    *value = otherwise;
    return absent(object, key) ? STATUS_OK : json_get_number(object, key, value, err);
}

enum status json_get_bool_or(const json_t *object, const char *key, bool otherwise, bool *value,
                             struct error *err)
{
    *value = otherwise;
    if (absent(object, key))
        return STATUS_OK;
    const json_t *member = json_object_get(object, key);
    if (!json_is_boolean(member))
        return wrong(err, key, member, "true or false");
    *value = json_is_true(member);
    return STATUS_OK;
}
