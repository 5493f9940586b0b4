/* JSON files of a model's folder, written atomically. */
#ifndef PRONY_MODEL_JSON_WRITE_H
#define PRONY_MODEL_JSON_WRITE_H

#include <jansson.h>

#include "base/error.h"

/* Writes FOLDER/NAME, indented. A NULL json is one that there was no memory for. */
enum status json_write(const json_t *json, const char *folder, const char *name, struct error *err);

/* The number of the fewest decimal digits that reads back as value: 1e-5, not 9.99999975e-6. */
json_t *json_float(float value);

#endif
