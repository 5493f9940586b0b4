/* Jansson with Prony's errors: a member that is missing or of the wrong type is named. */
#ifndef PRONY_BASE_JSON_H
#define PRONY_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Parses text; origin (a path, "reply of native") is what errors name. NULL on failure. The
 * top level must be an object. */
json_t *json_parse(const char *text, size_t bytes, const char *origin, struct error *err);
/* Reads and parses a file of at most limit bytes. NULL on failure. */
json_t *json_read(const char *path, size_t limit, struct error *err);

/* Members of an object. The first form requires them, the _or form has a default for a member
 * that is absent or null; a wrong type is STATUS_FORMAT in both. Strings are borrowed. */
enum status json_get_string(const json_t *object, const char *key, const char **value,
                            struct error *err);
enum status json_get_string_or(const json_t *object, const char *key, const char *otherwise,
                               const char **value, struct error *err);
enum status json_get_int(const json_t *object, const char *key, int64_t low, int64_t high,
                         int64_t *value, struct error *err);
enum status json_get_int_or(const json_t *object, const char *key, int64_t low, int64_t high,
                            int64_t otherwise, int64_t *value, struct error *err);
/* A finite number. */
enum status json_get_number(const json_t *object, const char *key, double *value,
                            struct error *err);
enum status json_get_number_or(const json_t *object, const char *key, double otherwise,
                               double *value, struct error *err);
enum status json_get_bool_or(const json_t *object, const char *key, bool otherwise, bool *value,
                             struct error *err);

#endif
