/* The tokens of a vocabulary: the bytes of each id, the id of given bytes, and the special tokens
 * that stand in a text. */
#ifndef PRONY_MODEL_VOCABULARY_H
#define PRONY_MODEL_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/tokenizer/tokenizer_parts.h"

/* Longest control or added token; bounds the work of looking for them at each byte. */
enum { VOCABULARY_MAX_SPECIAL_BYTES = 1024 };

struct vocabulary_slot {
    uint64_t word;   /* up to eight bytes themselves, else a hash of them */
    uint32_t length; /* in bytes */
    uint32_t entry;  /* id + 1; 0: free */
};

struct vocabulary {
    uint32_t count;
    char *bytes;                   /* of all tokens, one after another */
    uint32_t *start;               /* [count + 1], in bytes */
    size_t longest;                /* bytes of the longest token that text can become by BPE */
    struct vocabulary_slot *slots; /* open addressing, at most half full */
    size_t slot_mask;
    uint32_t *special;           /* ids of control and added tokens, in the order of their bytes */
    uint8_t *type;               /* [count], enum token_type */
    bool *findable;              /* [count]; the id is what vocabulary_find gives for its bytes */
    uint32_t special_start[257]; /* where those that start with each byte are in special */
    bool has_control, has_added;
};

/* Everything lives in arena. */
enum status vocabulary_init(struct vocabulary *vocabulary, const struct tokenizer_parts *parts,
                            struct arena *arena, struct error *err);

/* The bytes of a token; id < count. */
const char *vocabulary_bytes(const struct vocabulary *vocabulary, uint32_t id, size_t *bytes);

/* Whether vocabulary_find would give this id; id < count. Quicker where it can be guessed. */
bool vocabulary_is(const struct vocabulary *vocabulary, uint32_t id, const char *text,
                   size_t bytes);

/* The id of the normal or added token with exactly these bytes; -1 when there is none. Control
 * tokens are never found this way. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t bytes);

/* Asks for the memory that vocabulary_find will read: the table is much larger than the caches. */
void vocabulary_prefetch(const struct vocabulary *vocabulary, const char *text, size_t bytes);

/* Looks for the first, at one place the longest, added token from text[from] on, and with control
 * for control tokens as well. Returns its id with its place in *at; -1 when there is none. */
int32_t vocabulary_find_special(const struct vocabulary *vocabulary, const char *text, size_t bytes,
                                size_t from, bool control, size_t *at);

#endif
