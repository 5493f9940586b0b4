#include "model/tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model/tokenizer/bpe_ranks.h"
#include "model/tokenizer/byte_alphabet.h"

enum { SHORT_BYTES = 48 }; /* up to here scanning for the lowest rank beats a heap */

static const uint32_t NO_RANK = UINT32_MAX;
static const uint32_t NO_SYMBOL = UINT32_MAX;

/* Where to start looking for a pair. */
static size_t slot_first(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right;
    return (key ^ key >> 29) * UINT64_C(0x9E3779B97F4A7C15) >> bpe->shift;
}

/* The slot that holds this pair, or the free one where it would go. */
static struct bpe_merge *slot_of(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    size_t mask = ((size_t)1 << (64 - bpe->shift)) - 1;
    for (size_t i = slot_first(bpe, left, right);; i = (i + 1) & mask) {
        struct bpe_merge *slot = &bpe->slots[i];
        if (slot->rank == NO_RANK || (slot->left == left && slot->right == right))
            return slot;
    }
}

/* The id of a merge's result. Merges mostly come in the order of their results, so that of the one
 * before, and the one after that, are tried before the hash table. */
static int32_t result_find(const struct vocabulary *vocabulary, const char *text, size_t bytes,
                           int32_t last)
{
    for (int32_t id = last; id >= 0 && id <= last + 1 && (uint32_t)id < vocabulary->count; id++) {
        if (vocabulary_is(vocabulary, (uint32_t)id, text, bytes))
            return id;
    }
    return vocabulary_find(vocabulary, text, bytes);
}

/* Splits "LEFT RIGHT" and finds both, and what they make, in the vocabulary. text is room for
 * four times the longest token, since a byte is at most two in the byte alphabet. False when one
 * is missing. */
static bool merge_parse(const struct vocabulary *vocabulary, const struct token_text *merge,
                        char *text, int32_t last, struct bpe_merge *parsed)
{
    const char *space = merge->bytes > 2 ? memchr(merge->data + 1, ' ', merge->bytes - 1) : NULL;
    if (!space || merge->bytes - 1 > 4 * vocabulary->longest)
        return false;
    size_t left_chars = (size_t)(space - merge->data), left_bytes, right_bytes;
    if (!byte_alphabet_decode(merge->data, left_chars, text, &left_bytes) ||
        !byte_alphabet_decode(space + 1, merge->bytes - left_chars - 1, text + left_bytes,
                              &right_bytes))
        return false;
    int32_t left = vocabulary_find(vocabulary, text, left_bytes);
    int32_t right = vocabulary_find(vocabulary, text + left_bytes, right_bytes);
    int32_t id = result_find(vocabulary, text, left_bytes + right_bytes, last);
    *parsed = (struct bpe_merge){(uint32_t)left, (uint32_t)right, 0, (uint32_t)id};
    return left >= 0 && right >= 0 && id >= 0;
}

/* The merges that are given. *merges is malloc'd. */
static enum status merges_parse(const struct vocabulary *vocabulary,
                                const struct tokenizer_parts *parts, struct bpe_merge **merges,
                                size_t *count, struct error *err)
{
    char *text = malloc(4 * vocabulary->longest + 1);
    *merges = malloc((parts->merge_count + 1) * sizeof **merges);
    *count = parts->merge_count;
    if (!text || !*merges) {
        free(text);
        return error_no_memory(err, 4 * vocabulary->longest + *count * sizeof **merges);
    }
    enum status status = STATUS_OK;
    int32_t last = -1;
    for (size_t rank = 0; rank < parts->merge_count && status == STATUS_OK; rank++) {
        struct bpe_merge *merge = &(*merges)[rank];
        if (merge_parse(vocabulary, &parts->merges[rank], text, last, merge)) {
            merge->rank = (uint32_t)rank;
            last = (int32_t)merge->id;
        } else {
            error_set(err, STATUS_FORMAT,
                      "merge %zu is not two tokens of the vocabulary that make a third", rank);
            status = error_where(err, "%s", parts->origin);
        }
    }
    free(text);
    return status;
}

/* The table is much larger than the caches: slots are asked for well before they are filled. */
static void merges_enter(struct bpe *bpe, const struct bpe_merge *merges, size_t count)
{
    enum { AHEAD = 16 };
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(
                &bpe->slots[slot_first(bpe, merges[i + AHEAD].left, merges[i + AHEAD].right)], 1);
        struct bpe_merge *slot = slot_of(bpe, merges[i].left, merges[i].right);
        if (slot->rank == NO_RANK)
            *slot = merges[i];
    }
}

/* An empty table, in huge pages where it is large: it is read at random. */
static struct bpe_merge *slots_make(size_t count)
{
    enum { HUGE_PAGE = 2 << 20 };
    size_t bytes = count * sizeof(struct bpe_merge);
    struct bpe_merge *slots = bytes < HUGE_PAGE ? malloc(bytes) : aligned_alloc(HUGE_PAGE, bytes);
    if (!slots)
        return NULL;
    if (bytes >= HUGE_PAGE)
        madvise(slots, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i++)
        slots[i].rank = NO_RANK;
    return slots;
}

enum status bpe_init(struct bpe *bpe, const struct vocabulary *vocabulary,
                     const struct tokenizer_parts *parts, struct error *err)
{
    *bpe = (struct bpe){.shift = 60};
    if (parts->merge_count > INT32_MAX) {
        error_set(err, STATUS_FORMAT, "a vocabulary of %zu merges", parts->merge_count);
        return error_where(err, "%s", parts->origin);
    }
    struct bpe_merge *merges = NULL;
    size_t count;
    enum status status = parts->merges_by_rank
                             ? bpe_merges_of_ranks(vocabulary, &merges, &count, err)
                             : merges_parse(vocabulary, parts, &merges, &count, err);
    if (status != STATUS_OK)
        goto cleanup;
    while ((size_t)3 << (64 - bpe->shift) < 4 * count) /* at most 3/4 full */
        bpe->shift--;
    size_t slots = (size_t)1 << (64 - bpe->shift);
    bpe->slots = slots_make(slots);
    if (!bpe->slots) {
        status = error_no_memory(err, slots * sizeof *bpe->slots);
        goto cleanup;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        bpe->byte[byte] = vocabulary_find(vocabulary, &text, 1);
    }
    merges_enter(bpe, merges, count);
cleanup:
    free(merges);
    return status;
}

void bpe_free(struct bpe *bpe)
{
    free(bpe->slots);
    bpe->slots = NULL;
}

/* ---- pieces of a few bytes: arrays on the stack, the lowest rank found by scanning ---- */

static size_t encode_short(const struct bpe *bpe, const char *piece, size_t bytes, int32_t *ids)
{
    uint32_t rank[SHORT_BYTES], joined[SHORT_BYTES];
    size_t count = bytes;
    for (size_t i = 0; i < count; i++)
        ids[i] = bpe->byte[(unsigned char)piece[i]];
    for (size_t i = 0; i + 1 < count; i++) {
        const struct bpe_merge *merge = slot_of(bpe, (uint32_t)ids[i], (uint32_t)ids[i + 1]);
        rank[i] = merge->rank;
        joined[i] = merge->id;
    }
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++) {
            if (rank[i] < rank[best])
                best = i;
        }
        if (rank[best] == NO_RANK)
            break;
        ids[best] = (int32_t)joined[best];
        count--;
        /* Pair best + 1 is gone: what follows moves down by one. */
        for (size_t i = best + 1; i < count; i++) {
            ids[i] = ids[i + 1];
            rank[i - 1] = rank[i];
            joined[i - 1] = joined[i];
        }
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < count; i++) {
            const struct bpe_merge *merge = slot_of(bpe, (uint32_t)ids[i], (uint32_t)ids[i + 1]);
            rank[i] = merge->rank;
            joined[i] = merge->id;
        }
    }
    return count;
}

/* ---- long pieces: a linked list of symbols and a heap of the pairs that could be joined ---- */

struct bpe_symbol {
    uint32_t id; /* NO_SYMBOL once joined to the one before */
    uint32_t before, after;
};

/* A pair as it was when it entered the heap; out of date when its symbols have changed. */
struct bpe_candidate {
    uint64_t order; /* rank, then position */
    uint32_t left, right;
};

static enum status scratch_reserve(struct bpe_scratch *scratch, size_t bytes, struct error *err)
{
    if (bytes <= scratch->capacity)
        return STATUS_OK;
    bpe_scratch_free(scratch);
    /* Each join takes one candidate out and puts at most two in, so there are never more than
     * two per byte. */
    scratch->symbols = malloc(bytes * sizeof *scratch->symbols);
    scratch->heap = malloc(2 * bytes * sizeof *scratch->heap);
    if (!scratch->symbols || !scratch->heap) {
        bpe_scratch_free(scratch);
        return error_no_memory(err, bytes * (sizeof *scratch->symbols + 2 * sizeof *scratch->heap));
    }
    scratch->capacity = bytes;
    return STATUS_OK;
}

void bpe_scratch_free(struct bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    *scratch = (struct bpe_scratch){0};
}

static void heap_up(struct bpe_candidate *heap, size_t at)
{
    struct bpe_candidate moved = heap[at];
    while (at > 0 && moved.order < heap[(at - 1) / 2].order) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = moved;
}

static void heap_down(struct bpe_candidate *heap, size_t count, size_t at)
{
    struct bpe_candidate moved = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].order < heap[child].order)
            child++;
        if (moved.order <= heap[child].order)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Appends the pair of the symbol at and the next one, without restoring the heap's order. */
static bool candidate_add(const struct bpe *bpe, const struct bpe_scratch *scratch, uint32_t at,
                          size_t *count)
{
    uint32_t after = at == NO_SYMBOL ? NO_SYMBOL : scratch->symbols[at].after;
    if (after == NO_SYMBOL)
        return false;
    uint32_t left = scratch->symbols[at].id, right = scratch->symbols[after].id;
    const struct bpe_merge *merge = slot_of(bpe, left, right);
    if (merge->rank == NO_RANK)
        return false;
    scratch->heap[(*count)++] =
        (struct bpe_candidate){(uint64_t)merge->rank << 32 | at, left, right};
    return true;
}

/* Joins the symbol at with the next one. */
static void symbols_join(struct bpe_symbol *symbols, uint32_t at, uint32_t id)
{
    uint32_t gone = symbols[at].after;
    symbols[at].id = id;
    symbols[at].after = symbols[gone].after;
    symbols[gone].id = NO_SYMBOL;
    if (symbols[at].after != NO_SYMBOL)
        symbols[symbols[at].after].before = at;
}

static size_t encode_long(const struct bpe *bpe, const char *piece, size_t bytes,
                          const struct bpe_scratch *scratch, int32_t *ids)
{
    struct bpe_symbol *symbols = scratch->symbols;
    struct bpe_candidate *heap = scratch->heap;
    size_t candidates = 0, count = 0;
    for (uint32_t i = 0; i < bytes; i++)
        symbols[i] = (struct bpe_symbol){(uint32_t)bpe->byte[(unsigned char)piece[i]], i - 1,
                                         i + 1 < bytes ? i + 1 : NO_SYMBOL};
    for (uint32_t i = 0; i < bytes; i++)
        candidate_add(bpe, scratch, i, &candidates);
    for (size_t i = candidates / 2; i-- > 0;)
        heap_down(heap, candidates, i);
    while (candidates > 0) {
        struct bpe_candidate best = heap[0];
        heap[0] = heap[--candidates];
        heap_down(heap, candidates, 0);
        uint32_t at = (uint32_t)best.order, after = symbols[at].after;
        if (symbols[at].id != best.left || after == NO_SYMBOL || symbols[after].id != best.right)
            continue;
        symbols_join(symbols, at, slot_of(bpe, best.left, best.right)->id);
        if (candidate_add(bpe, scratch, at, &candidates))
            heap_up(heap, candidates - 1);
        if (candidate_add(bpe, scratch, symbols[at].before, &candidates))
            heap_up(heap, candidates - 1);
    }
    for (uint32_t i = 0; i != NO_SYMBOL; i = symbols[i].after)
        ids[count++] = (int32_t)symbols[i].id;
    return count;
}

enum status bpe_encode(const struct bpe *bpe, const char *piece, size_t bytes,
                       struct bpe_scratch *scratch, int32_t *ids, size_t *count, struct error *err)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned byte = (unsigned char)piece[i];
        if (bpe->byte[byte] < 0) {
            error_set(err, STATUS_UNSUPPORTED, "the vocabulary has no token for byte 0x%02X", byte);
            return error_remedy(err, "Take the byte out of the text: this model cannot read it.");
        }
    }
    if (bytes <= SHORT_BYTES) {
        *count += encode_short(bpe, piece, bytes, ids + *count);
        return STATUS_OK;
    }
    enum status status = scratch_reserve(scratch, bytes, err);
    if (status == STATUS_OK)
        *count += encode_long(bpe, piece, bytes, scratch, ids + *count);
    return status;
}
