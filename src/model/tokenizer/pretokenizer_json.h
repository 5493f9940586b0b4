/* How text is split before byte-level BPE, under the names GGUF files use (tokenizer.ggml.pre) and
 * as tokenizer.json spells it out. */
#ifndef PRONY_MODEL_PRETOKENIZER_JSON_H
#define PRONY_MODEL_PRETOKENIZER_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* The pre_tokenizer of tokenizer.json for a name; NULL for one that is not known. New reference. */
json_t *pretokenizer_to_json(const char *pre);
/* The name for a pre_tokenizer of tokenizer.json; NULL when it is none that is known. */
const char *pretokenizer_from_json(const json_t *json);
/* Whether a word that is a token is taken at once, before merging (BPE's ignore_merges). */
bool pretokenizer_ignores_merges(const char *pre);

#endif
