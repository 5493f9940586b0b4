/* Text to token ids and back, for byte-level BPE vocabularies as GGUF metadata (model "gpt2"; pre
 * "llama-bpe", "smollm", "gpt2"), tokenizer.json and Llama 3's tokenizer.model carry them. */
#ifndef PRONY_MODEL_TOKENIZER_H
#define PRONY_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tokenizer;

/* Reads the tokenizer of the model at path, as model_locate finds it, or a file tokenizer.model.
 * *tokenizer is the caller's to
 * close. STATUS_NOT_FOUND when the file has none, STATUS_UNSUPPORTED when it is of another
 * kind. */
enum status tokenizer_open(struct tokenizer **tokenizer, const char *path, struct error *err);
/* Whether a model file has its tokenizer in files beside it: safetensors do, GGUF files do not. */
bool tokenizer_is_beside(const char *file);
void tokenizer_close(struct tokenizer *tokenizer);

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);
/* -1 where the model names none. */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
/* Whether the model was trained on prompts that start with bos. */
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);

enum tokenizer_flags {
    TOKENIZER_ADD_BOS = 1,       /* put bos first, if there is one */
    TOKENIZER_PARSE_SPECIAL = 2, /* "<|eot_id|>" in the text is the control token, not letters */
    TOKENIZER_TEXT_ONLY = 4      /* not even added tokens are looked for: BPE has all of the text */
};

/* Encodes bytes of text (any bytes: invalid UTF-8 is encoded byte by byte). *ids is malloc'd; the
 * caller frees. STATUS_UNSUPPORTED for a byte that the vocabulary has no token for, since leaving
 * it out would change the text. Any number of threads may encode with one tokenizer. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                             unsigned flags, int32_t **ids, size_t *count, struct error *err);

/* The bytes of one token, borrowed; NULL with *bytes 0 for an id outside the vocabulary. A token
 * may be part of a UTF-8 character. */
const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id, size_t *bytes);

/* The bytes of ids joined, malloc'd and NUL-terminated; the caller frees. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             char **text, size_t *bytes, struct error *err);

#endif
