/* Byte-pair encoding: joins the neighbours with the lowest merge rank, the leftmost first, until
 * no pair of neighbours is in the table. */
#ifndef PRONY_MODEL_BPE_H
#define PRONY_MODEL_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/tokenizer/tokenizer_parts.h"
#include "model/tokenizer/vocabulary.h"

struct bpe_merge {
    uint32_t left, right; /* ids */
    uint32_t rank;        /* lower is joined earlier; UINT32_MAX: a free slot */
    uint32_t id;          /* what they become */
};

struct bpe {
    struct bpe_merge *slots; /* open addressing */
    unsigned shift;          /* 64 - log2(slots) */
    int32_t byte[256];       /* the id of each byte; -1 when the vocabulary has none */
};

/* Work space that grows with the longest piece; zero-initialise, reuse, free at the end. */
struct bpe_scratch {
    struct bpe_symbol *symbols;
    struct bpe_candidate *heap;
    size_t capacity; /* bytes of piece that fit */
};

/* STATUS_FORMAT for a merge of or into something that is not in the vocabulary. bpe_free in any
 * case. */
enum status bpe_init(struct bpe *bpe, const struct vocabulary *vocabulary,
                     const struct tokenizer_parts *parts, struct error *err);
void bpe_free(struct bpe *bpe);

/* Appends the ids of one piece (fewer than 2^31 bytes) at ids[*count]; there is room for one id per
 * byte. Time n log n. STATUS_UNSUPPORTED for a byte that the vocabulary has no token for. */
enum status bpe_encode(const struct bpe *bpe, const char *piece, size_t bytes,
                       struct bpe_scratch *scratch, int32_t *ids, size_t *count, struct error *err);

void bpe_scratch_free(struct bpe_scratch *scratch);

#endif
