/* What a tokenizer is made of, whichever file it was read from; for the readers of such files. */
#ifndef PRONY_MODEL_TOKENIZER_PARTS_H
#define PRONY_MODEL_TOKENIZER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/tokenizer/tokenizer.h"

/* As GGUF numbers them. */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN,
    TOKEN_CONTROL,
    TOKEN_USER_DEFINED, /* a word added to the vocabulary: found in any text, before BPE */
    TOKEN_UNUSED,       /* never made from text */
    TOKEN_BYTE
};

/* Bytes of a file, borrowed. */
struct token_text {
    const char *data;
    size_t bytes;
};

struct tokenizer_parts {
    const char *origin;              /* the file, for errors */
    const char *pre;                 /* name of the pre-tokeniser: "llama-bpe", ... */
    const struct token_text *tokens; /* in id order; normal ones in the byte alphabet */
    const int32_t *types;            /* enum token_type of each; NULL: all are normal */
    size_t token_count;
    const struct token_text *merges; /* "LEFT RIGHT" in the byte alphabet, first rank first */
    size_t merge_count;
    bool merges_by_rank;  /* no merges are given: ids are ranks (bpe_ranks.h) */
    int64_t bos, eos;     /* -1: none */
    const bool *adds_bos; /* whether prompts start with bos; NULL: as usual for pre */
};

/* Checks the parts and copies what it needs of them. STATUS_UNSUPPORTED for an unknown pre,
 * STATUS_FORMAT for a vocabulary that contradicts itself: a token type that does not exist, a
 * merge of tokens that are not there, bos or eos outside the vocabulary. Of equal tokens and of
 * equal merges the first counts. A normal token with a character outside the byte alphabet is
 * decoded as it is written, and never made from text. */
enum status tokenizer_create(struct tokenizer **tokenizer, const struct tokenizer_parts *parts,
                             struct error *err);

/* The readers behind tokenizer_open: a GGUF file; a folder with config.json and tokenizer.json, or
 * else tokenizer.model; Llama 3's tokenizer.model. */
enum status tokenizer_open_gguf(struct tokenizer **tokenizer, const char *path, struct error *err);
enum status tokenizer_open_folder(struct tokenizer **tokenizer, const char *folder,
                                  struct error *err);
enum status tokenizer_open_ranks(struct tokenizer **tokenizer, const char *path, struct error *err);

#endif
