#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/gguf/gguf.h"

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const names[GGUF_TYPES] = {
        "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
        "bool", "string", "array", "u64", "i64", "f64",
    };
    return names[type];
}

const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key)
{
    for (uint64_t i = 0; i < gguf->pair_count; i++)
        if (strcmp(gguf->pairs[i].key, key) == 0)
            return &gguf->pairs[i].value;
    return NULL;
}

const struct tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
    for (uint64_t i = 0; i < gguf->tensor_count; i++)
        if (strcmp(gguf->tensors[i].name, name) == 0)
            return &gguf->tensors[i];
    return NULL;
}

static bool is_int(enum gguf_type type)
{
    return type <= GGUF_I32 || type == GGUF_U64 || type == GGUF_I64;
}

static bool is_number(enum gguf_type type)
{
    return type == GGUF_F32 || type == GGUF_F64;
}

static bool is_bool(enum gguf_type type)
{
    return type == GGUF_BOOL;
}

static bool is_string(enum gguf_type type)
{
    return type == GGUF_STRING;
}

/* The value of a key, if it is there and of the right type. */
static enum status get(const struct gguf *gguf, const char *key, bool (*fits)(enum gguf_type),
                       bool is_array, const char *wanted, const struct gguf_value **value,
                       struct error *err)
{
    *value = gguf_find(gguf, key);
    if (*value && fits((*value)->type) && (*value)->is_array == is_array)
        return STATUS_OK;
    if (*value)
        error_set(err, STATUS_FORMAT, "the key %s is %s%s; it should be %s", key,
                  (*value)->is_array ? "an array of " : "", gguf_type_name((*value)->type), wanted);
    else
        error_set(err, STATUS_FORMAT, "the key %s is missing; it should be %s", key, wanted);
    error_where(err, "%s", gguf->path);
    return error_remedy(err, "Convert the model to GGUF again.");
}

enum status gguf_get_int(const struct gguf *gguf, const char *key, int64_t low, int64_t high,
                         int64_t *value, struct error *err)
{
    const struct gguf_value *found;
    if (get(gguf, key, is_int, false, "an integer", &found, err))
        return err->status;
    int64_t number = gguf_int_at(found, 0);
    if (number < low || number > high) {
        error_set(err, STATUS_FORMAT,
                  "the key %s is %" PRId64 "; it should be between %" PRId64 " and %" PRId64, key,
                  number, low, high);
        error_where(err, "%s", gguf->path);
        return error_remedy(err, "Convert the model to GGUF again.");
    }
    *value = number;
    return STATUS_OK;
}

enum status gguf_get_int_or(const struct gguf *gguf, const char *key, int64_t low, int64_t high,
                            int64_t otherwise, int64_t *value, struct error *err)
{
    *value = otherwise;
    return gguf_find(gguf, key) ? gguf_get_int(gguf, key, low, high, value, err) : STATUS_OK;
}

enum status gguf_get_number(const struct gguf *gguf, const char *key, double *value,
                            struct error *err)
{
    const struct gguf_value *found;
    if (get(gguf, key, is_number, false, "a float", &found, err))
        return err->status;
    *value = gguf_number_at(found, 0);
    if (isfinite(*value))
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "the key %s is not finite", key);
    error_where(err, "%s", gguf->path);
    return error_remedy(err, "Convert the model to GGUF again.");
}

enum status gguf_get_number_or(const struct gguf *gguf, const char *key, double otherwise,
                               double *value, struct error *err)
{
    *value = otherwise;
    return gguf_find(gguf, key) ? gguf_get_number(gguf, key, value, err) : STATUS_OK;
}

enum status gguf_get_bool_or(const struct gguf *gguf, const char *key, bool otherwise, bool *value,
                             struct error *err)
{
    const struct gguf_value *found;
    *value = otherwise;
    if (!gguf_find(gguf, key))
        return STATUS_OK;
    if (get(gguf, key, is_bool, false, "a boolean", &found, err))
        return err->status;
    *value = gguf_bool_at(found, 0);
    return STATUS_OK;
}

enum status gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *value,
                            struct error *err)
{
    const struct gguf_value *found;
    *value = (struct gguf_string){0};
    if (get(gguf, key, is_string, false, "a string", &found, err))
        return err->status;
    struct gguf_walk walk = gguf_walk_start(found);
    gguf_walk_next(&walk, value);
    return STATUS_OK;
}

enum status gguf_get_string_or_null(const struct gguf *gguf, const char *key,
                                    struct gguf_string *value, struct error *err)
{
    *value = (struct gguf_string){0};
    return gguf_find(gguf, key) ? gguf_get_string(gguf, key, value, err) : STATUS_OK;
}

bool gguf_string_equals(struct gguf_string string, const char *text)
{
    return string.bytes == strlen(text) && memcmp(string.data, text, string.bytes) == 0;
}

enum status gguf_get_strings(const struct gguf *gguf, const char *key,
                             const struct gguf_value **array, struct error *err)
{
    return get(gguf, key, is_string, true, "an array of strings", array, err);
}

enum status gguf_get_ints(const struct gguf *gguf, const char *key, const struct gguf_value **array,
                          struct error *err)
{
    return get(gguf, key, is_int, true, "an array of integers", array, err);
}

enum status gguf_get_numbers(const struct gguf *gguf, const char *key,
                             const struct gguf_value **array, struct error *err)
{
    return get(gguf, key, is_number, true, "an array of floats", array, err);
}

int64_t gguf_int_at(const struct gguf_value *value, uint64_t index)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } x;
    switch (value->type) {
    case GGUF_U8:
        return value->data[index];
    case GGUF_I8:
        return (int8_t)value->data[index];
    case GGUF_U16:
        memcpy(&x.u16, value->data + index * 2, 2);
        return x.u16;
    case GGUF_I16:
        memcpy(&x.i16, value->data + index * 2, 2);
        return x.i16;
    case GGUF_U32:
        memcpy(&x.u32, value->data + index * 4, 4);
        return x.u32;
    case GGUF_I32:
        memcpy(&x.i32, value->data + index * 4, 4);
        return x.i32;
    case GGUF_I64:
        memcpy(&x.i64, value->data + index * 8, 8);
        return x.i64;
    default: /* GGUF_U64 */
        memcpy(&x.u64, value->data + index * 8, 8);
        return x.u64 > INT64_MAX ? INT64_MAX : (int64_t)x.u64;
    }
}

double gguf_number_at(const struct gguf_value *value, uint64_t index)
{
    float narrow;
    double wide;
    if (value->type == GGUF_F32) {
        memcpy(&narrow, value->data + index * sizeof narrow, sizeof narrow);
        return (double)narrow;
    }
    memcpy(&wide, value->data + index * sizeof wide, sizeof wide);
    return wide;
}

bool gguf_bool_at(const struct gguf_value *value, uint64_t index)
{
    return value->data[index] != 0;
}

struct gguf_walk gguf_walk_start(const struct gguf_value *value)
{
    return (struct gguf_walk){value->data, value->count};
}

bool gguf_walk_next(struct gguf_walk *walk, struct gguf_string *string)
{
    uint64_t bytes;
    if (walk->left == 0)
        return false;
    memcpy(&bytes, walk->next, sizeof bytes);
    *string = (struct gguf_string){(const char *)walk->next + sizeof bytes, bytes};
    walk->next += sizeof bytes + bytes;
    walk->left--;
    return true;
}
