/* The merges of a vocabulary in which a token's id is its rank: every way to make a token of two
 * others is one, and all ways to make the same token are equally urgent. */
#ifndef PRONY_MODEL_BPE_RANKS_H
#define PRONY_MODEL_BPE_RANKS_H

#include <stddef.h>

#include "base/error.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/vocabulary.h"

/* *merges is malloc'd; the caller frees it. */
enum status bpe_merges_of_ranks(const struct vocabulary *vocabulary, struct bpe_merge **merges,
                                size_t *count, struct error *err);

#endif
