/* tokenizer.json, as tokenizers of the transformers library are stored: the vocabulary and the
 * merges, nearly all of it, as arrays; the rest as a tree. */
#ifndef PRONY_MODEL_TOKENIZER_JSON_H
#define PRONY_MODEL_TOKENIZER_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* What a file of a tokenizer in a folder may have. */
enum { TOKENIZER_FILE_BYTES = 256 << 20 };

struct tokenizer_json_token {
    const char *text;
    int64_t id;
};

struct tokenizer_json {
    char *text; /* the file, in place: vocabulary and merges point into it */
    struct tokenizer_json_token *vocabulary;
    size_t vocabulary_count;
    const char **merges; /* "left right" */
    size_t merge_count;
    json_t *rest; /* what was read in place is null in it */
};

/* Reads bytes of text, which is NUL-terminated, is used up, and has to outlive what points into it.
 * STATUS_FORMAT names origin and place. tokenizer_json_close is due in any case. */
enum status tokenizer_json_parse(struct tokenizer_json *json, char *text, size_t bytes,
                                 const char *origin, struct error *err);
/* Reads a file into the arena. */
enum status tokenizer_json_read(struct tokenizer_json *json, struct arena *arena, const char *path,
                                struct error *err);
/* Frees all but the text. */
void tokenizer_json_close(struct tokenizer_json *json);

#endif
