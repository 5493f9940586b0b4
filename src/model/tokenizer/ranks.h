/* tokenizer.model as Llama 3 has it, in tiktoken's format: a line for each token, its bytes in
 * base64, a space, its rank. The rank is its id, and the order in which pairs are joined to it. */
#ifndef PRONY_MODEL_RANKS_H
#define PRONY_MODEL_RANKS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/tokenizer/tokenizer_parts.h"

/* Longest token in bytes: bounds the work of finding how it can be joined from two others. */
enum { RANKS_MAX_TOKEN_BYTES = 256 };

/* Parses the file's text and puts Llama 3's 256 special tokens behind. The tokens live in arena;
 * *parts is for tokenizer_create. STATUS_UNSUPPORTED for SentencePiece's file of the same name,
 * STATUS_FORMAT for a line that is none, and for ranks that are not 0, 1, 2, ... in some order. */
enum status ranks_parse(struct tokenizer_parts *parts, struct arena *arena, const char *text,
                        size_t bytes, const char *origin, struct error *err);

#endif
