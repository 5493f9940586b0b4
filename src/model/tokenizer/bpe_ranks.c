#include "model/tokenizer/bpe_ranks.h"

#include <stdlib.h>

/* Room for one more merge; false when there is no memory. */
static bool reserve(struct bpe_merge **merges, size_t count, size_t *room)
{
    if (count < *room)
        return true;
    size_t larger = *room ? 2 * *room : 1024;
    struct bpe_merge *moved = realloc(*merges, larger * sizeof *moved);
    if (!moved)
        return false;
    *merges = moved;
    *room = larger;
    return true;
}

/* Asks for what looking for a token's halves will read. */
static void halves_prefetch(const struct vocabulary *vocabulary, uint32_t id)
{
    size_t bytes;
    const char *token = vocabulary_bytes(vocabulary, id, &bytes);
    for (size_t split = 1; split < bytes && bytes <= vocabulary->longest; split++) {
        vocabulary_prefetch(vocabulary, token, split);
        vocabulary_prefetch(vocabulary, token + split, bytes - split);
    }
}

enum status bpe_merges_of_ranks(const struct vocabulary *vocabulary, struct bpe_merge **merges,
                                size_t *count, struct error *err)
{
    struct bpe_merge *found = NULL;
    size_t used = 0, room = 0;
    *merges = NULL;
    *count = 0;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        size_t bytes;
        const char *token = vocabulary_bytes(vocabulary, id, &bytes);
        if (id + 1 < vocabulary->count)
            halves_prefetch(vocabulary, id + 1);
        /* Of equal tokens the first counts; control tokens are joined from nothing. */
        if (vocabulary_find(vocabulary, token, bytes) != (int32_t)id)
            continue;
        for (size_t split = 1; split < bytes; split++) {
            int32_t left = vocabulary_find(vocabulary, token, split);
            int32_t right =
                left < 0 ? -1 : vocabulary_find(vocabulary, token + split, bytes - split);
            if (right < 0)
                continue;
            if (!reserve(&found, used, &room)) {
                free(found);
                return error_no_memory(err, 2 * room * sizeof *found);
            }
            found[used++] = (struct bpe_merge){(uint32_t)left, (uint32_t)right, id, id};
        }
    }
    *merges = found;
    *count = used;
    return STATUS_OK;
}
