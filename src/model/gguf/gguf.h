/* A GGUF file, version 2 or 3: metadata (key and value) and a list of tensors, every length,
 * offset, type and count of which is checked. Keys, values and tensor data stay in the file's
 * bytes; nothing is trusted that was not checked. */
#ifndef PRONY_MODEL_GGUF_H
#define PRONY_MODEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "model/tensor.h"

/* Numbered as in the file. */
enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

/* Bytes in the file: not NUL-terminated, of any content. */
struct gguf_string {
    const char *data;
    size_t bytes;
};

struct gguf_value {
    enum gguf_type type; /* of the elements, when an array; never GGUF_ARRAY */
    bool is_array;
    uint64_t count;            /* elements; 1 when no array */
    const unsigned char *data; /* unaligned, as in the file */
};

struct gguf_pair {
    const char *key; /* printable ASCII */
    struct gguf_value value;
};

struct gguf {
    const char *path; /* for errors */
    uint32_t version;
    uint32_t alignment;      /* of tensor data, in bytes */
    struct gguf_pair *pairs; /* as ordered in the file */
    uint64_t pair_count;
    struct tensor *tensors; /* as ordered in the file; names are printable ASCII */
    uint64_t tensor_count;
    struct arena arena;
    struct file_map map; /* empty when parsed from memory */
};

/* Maps and parses a file. On failure nothing is left open. */
enum status gguf_open(struct gguf *gguf, const char *path, struct error *err);
/* Parses bytes (aligned to 8) that outlive the gguf; path is what errors name. */
enum status gguf_parse(struct gguf *gguf, const void *bytes, size_t size, const char *path,
                       struct error *err);
void gguf_close(struct gguf *gguf);

/* "u32", "string", ... */
const char *gguf_type_name(enum gguf_type type);
/* NULL when there is no such key. */
const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key);
/* NULL when there is no such tensor. */
const struct tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);

/* Typed values. The first form requires the key, the _or form has a default for an absent one; a
 * wrong type or a number out of range is STATUS_FORMAT in both. Integers of any width and sign
 * are accepted as int, floats of both widths as number (finite ones only). */
enum status gguf_get_int(const struct gguf *gguf, const char *key, int64_t low, int64_t high,
                         int64_t *value, struct error *err);
enum status gguf_get_int_or(const struct gguf *gguf, const char *key, int64_t low, int64_t high,
                            int64_t otherwise, int64_t *value, struct error *err);
enum status gguf_get_number(const struct gguf *gguf, const char *key, double *value,
                            struct error *err);
enum status gguf_get_number_or(const struct gguf *gguf, const char *key, double otherwise,
                               double *value, struct error *err);
enum status gguf_get_bool_or(const struct gguf *gguf, const char *key, bool otherwise, bool *value,
                             struct error *err);
enum status gguf_get_string(const struct gguf *gguf, const char *key, struct gguf_string *value,
                            struct error *err);
/* An absent key gives {NULL, 0}. */
enum status gguf_get_string_or_null(const struct gguf *gguf, const char *key,
                                    struct gguf_string *value, struct error *err);
bool gguf_string_equals(struct gguf_string string, const char *text);

/* Arrays of strings, of integers of any width, of floats of any width. The key is required. */
enum status gguf_get_strings(const struct gguf *gguf, const char *key,
                             const struct gguf_value **array, struct error *err);
enum status gguf_get_ints(const struct gguf *gguf, const char *key, const struct gguf_value **array,
                          struct error *err);
enum status gguf_get_numbers(const struct gguf *gguf, const char *key,
                             const struct gguf_value **array, struct error *err);

/* One element, index < count. An unsigned 64-bit integer above INT64_MAX reads as INT64_MAX. */
int64_t gguf_int_at(const struct gguf_value *value, uint64_t index);
double gguf_number_at(const struct gguf_value *value, uint64_t index);
bool gguf_bool_at(const struct gguf_value *value, uint64_t index);

/* Walks a string or an array of strings:
 *     struct gguf_walk walk = gguf_walk_start(value);
 *     while (gguf_walk_next(&walk, &string)) ... */
struct gguf_walk {
    const unsigned char *next;
    uint64_t left;
};
struct gguf_walk gguf_walk_start(const struct gguf_value *value);
bool gguf_walk_next(struct gguf_walk *walk, struct gguf_string *string);

#endif
