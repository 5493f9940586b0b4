#include "model/tokenizer/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"

static const uint64_t MULTIPLIER = UINT64_C(0x9E3779B97F4A7C15);

static uint64_t hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * MULTIPLIER;
    return hash ^ hash >> 32;
}

/* 1 to 8 bytes as a number. */
static uint64_t word_short(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (bytes < 4)
        return s[0] | (uint64_t)s[bytes / 2] << 8 * (bytes / 2) |
               (uint64_t)s[bytes - 1] << 8 * (bytes - 1);
    uint32_t low, high; /* these overlap in bytes that are the same */
    memcpy(&low, text, 4);
    memcpy(&high, text + bytes - 4, 4);
    return low | (uint64_t)high << 8 * (bytes - 4);
}

/* What a slot knows of a token: eight bytes or fewer are compared without a look elsewhere. */
static uint64_t word_of(const char *text, size_t bytes)
{
    if (bytes <= 8)
        return bytes ? word_short(text, bytes) : 0;
    uint64_t hash = 0, word;
    for (size_t i = 0; i + 8 < bytes; i += 8) {
        memcpy(&word, text + i, 8);
        hash = hash_mix(hash, word);
    }
    memcpy(&word, text + bytes - 8, 8);
    return hash_mix(hash, word);
}

const char *vocabulary_bytes(const struct vocabulary *vocabulary, uint32_t id, size_t *bytes)
{
    *bytes = vocabulary->start[id + 1] - vocabulary->start[id];
    return vocabulary->bytes + vocabulary->start[id];
}

/* Where to start looking for bytes. */
static size_t slot_first(const struct vocabulary *vocabulary, size_t bytes, uint64_t word)
{
    return (hash_mix(hash_mix(word, bytes), 0) >> 32) & vocabulary->slot_mask;
}

/* The slot that holds these bytes, or the free one where they would go. */
static struct vocabulary_slot *slot_of(const struct vocabulary *vocabulary, const char *text,
                                       size_t bytes, uint64_t word)
{
    size_t mask = vocabulary->slot_mask;
    for (size_t i = slot_first(vocabulary, bytes, word);; i = (i + 1) & mask) {
        struct vocabulary_slot *slot = &vocabulary->slots[i];
        if (slot->entry == 0)
            return slot;
        if (slot->word != word || slot->length != bytes)
            continue;
        size_t length;
        if (bytes <= 8 ||
            memcmp(vocabulary_bytes(vocabulary, slot->entry - 1, &length), text, bytes) == 0)
            return slot;
    }
}

bool vocabulary_is(const struct vocabulary *vocabulary, uint32_t id, const char *text, size_t bytes)
{
    size_t length;
    const char *token = vocabulary_bytes(vocabulary, id, &length);
    return length == bytes && vocabulary->findable[id] && memcmp(token, text, bytes) == 0;
}

int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t bytes)
{
    if (bytes > vocabulary->longest)
        return -1;
    return (int32_t)slot_of(vocabulary, text, bytes, word_of(text, bytes))->entry - 1;
}

void vocabulary_prefetch(const struct vocabulary *vocabulary, const char *text, size_t bytes)
{
    if (bytes <= vocabulary->longest)
        __builtin_prefetch(&vocabulary->slots[slot_first(vocabulary, bytes, word_of(text, bytes))]);
}

static bool type_is_control(int type)
{
    return type == TOKEN_CONTROL || type == TOKEN_UNKNOWN;
}

static bool type_is_special(int type)
{
    return type_is_control(type) || type == TOKEN_USER_DEFINED;
}

static enum status sizes_check(const struct tokenizer_parts *parts, size_t *total, size_t *specials,
                               struct error *err)
{
    *total = *specials = 0;
    if (parts->token_count == 0 || parts->token_count > INT32_MAX) {
        error_set(err, STATUS_FORMAT, "a vocabulary of %zu tokens", parts->token_count);
        return error_where(err, "%s", parts->origin);
    }
    for (size_t id = 0; id < parts->token_count; id++) {
        int32_t type = parts->types ? parts->types[id] : TOKEN_NORMAL;
        size_t bytes = parts->tokens[id].bytes;
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
            error_set(err, STATUS_FORMAT, "token %zu has type %d, not one of 1 to 6", id,
                      (int)type);
        else if (type_is_special(type) && bytes > VOCABULARY_MAX_SPECIAL_BYTES)
            error_set(err, STATUS_FORMAT, "special token %zu is %zu bytes long; %d are the most",
                      id, bytes, VOCABULARY_MAX_SPECIAL_BYTES);
        else if (__builtin_add_overflow(*total, bytes, total) || *total >= UINT32_MAX)
            error_set(err, STATUS_FORMAT, "the vocabulary's text is larger than 4 GiB");
        else {
            *specials += type_is_special(type);
            continue;
        }
        return error_where(err, "%s", parts->origin);
    }
    return STATUS_OK;
}

/* Copies each token's bytes and enters those that text can become. */
static void tokens_fill(struct vocabulary *vocabulary, const struct tokenizer_parts *parts)
{
    uint32_t end = 0, specials = 0;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        int type = parts->types ? parts->types[id] : TOKEN_NORMAL;
        const struct token_text *token = &parts->tokens[id];
        char *bytes = vocabulary->bytes + end;
        size_t length = 0;
        bool findable = type != TOKEN_UNUSED && !type_is_control(type) && token->bytes > 0;
        if (type_is_special(type) ||
            !byte_alphabet_decode(token->data, token->bytes, bytes, &length)) {
            length = token->bytes;
            if (length > 0)
                memcpy(bytes, token->data, length);
            findable = findable && type == TOKEN_USER_DEFINED;
        }
        vocabulary->type[id] = (uint8_t)type;
        vocabulary->start[id] = end;
        end += (uint32_t)length;
        vocabulary->start[id + 1] = end;
        if (findable) {
            uint64_t word = word_of(bytes, length);
            struct vocabulary_slot *slot = slot_of(vocabulary, bytes, length, word);
            vocabulary->findable[id] = slot->entry == 0;
            if (slot->entry == 0)
                *slot = (struct vocabulary_slot){word, (uint32_t)length, id + 1};
            if (length > vocabulary->longest)
                vocabulary->longest = length;
        }
        if (type_is_special(type) && length > 0)
            vocabulary->special[specials++] = id;
        vocabulary->has_control |= type_is_control(type);
        vocabulary->has_added |= type == TOKEN_USER_DEFINED;
    }
    vocabulary->special_start[256] = specials;
}

/* By bytes, then by id. */
static int special_compare(const void *a, const void *b, void *context)
{
    const struct vocabulary *vocabulary = context;
    const uint32_t *left_id = a, *right_id = b;
    size_t left_bytes, right_bytes;
    const char *left = vocabulary_bytes(vocabulary, *left_id, &left_bytes);
    const char *right = vocabulary_bytes(vocabulary, *right_id, &right_bytes);
    int order = memcmp(left, right, left_bytes < right_bytes ? left_bytes : right_bytes);
    if (order == 0)
        order = (left_bytes > right_bytes) - (left_bytes < right_bytes);
    return order ? order : (*left_id > *right_id) - (*left_id < *right_id);
}

static bool special_equal(const struct vocabulary *vocabulary, uint32_t a, uint32_t b)
{
    size_t a_bytes, b_bytes;
    const char *left = vocabulary_bytes(vocabulary, a, &a_bytes);
    const char *right = vocabulary_bytes(vocabulary, b, &b_bytes);
    return a_bytes == b_bytes && memcmp(left, right, a_bytes) == 0;
}

/* Sorts the special tokens, drops all but the first of equal ones, and notes where each first byte
 * starts. */
static void specials_index(struct vocabulary *vocabulary)
{
    uint32_t *special = vocabulary->special;
    uint32_t found = vocabulary->special_start[256], count = 0, i = 0;
    qsort_r(special, found, sizeof *special, special_compare, vocabulary);
    for (uint32_t k = 0; k < found; k++) {
        if (count == 0 || !special_equal(vocabulary, special[count - 1], special[k]))
            special[count++] = special[k];
    }
    vocabulary->special_start[256] = count;
    for (unsigned first = 0; first < 256; first++) {
        vocabulary->special_start[first] = i;
        while (i < count &&
               (unsigned char)vocabulary->bytes[vocabulary->start[special[i]]] == first)
            i++;
    }
}

enum status vocabulary_init(struct vocabulary *vocabulary, const struct tokenizer_parts *parts,
                            struct arena *arena, struct error *err)
{
    size_t total, specials, slots = 16;
    enum status status = sizes_check(parts, &total, &specials, err);
    if (status != STATUS_OK)
        return status;
    while (slots < 2 * parts->token_count)
        slots *= 2;
    *vocabulary =
        (struct vocabulary){.count = (uint32_t)parts->token_count, .slot_mask = slots - 1};
    vocabulary->bytes = arena_alloc(arena, total + 1);
    vocabulary->start = arena_array(arena, parts->token_count + 1, sizeof *vocabulary->start);
    vocabulary->type = arena_array(arena, parts->token_count, sizeof *vocabulary->type);
    vocabulary->findable = arena_array(arena, parts->token_count, sizeof *vocabulary->findable);
    vocabulary->special = arena_array(arena, specials + 1, sizeof *vocabulary->special);
    vocabulary->slots = arena_array(arena, slots, sizeof *vocabulary->slots);
    if (!vocabulary->bytes || !vocabulary->start || !vocabulary->type || !vocabulary->findable ||
        !vocabulary->special || !vocabulary->slots)
        return error_no_memory(err, slots * sizeof *vocabulary->slots);
    tokens_fill(vocabulary, parts);
    specials_index(vocabulary);
    return STATUS_OK;
}

/* The first of special[low, high) whose byte at depth is at least value; all of them are longer
 * than depth. */
static uint32_t special_bound(const struct vocabulary *vocabulary, uint32_t low, uint32_t high,
                              size_t depth, unsigned value)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint32_t start = vocabulary->start[vocabulary->special[middle]];
        if ((unsigned char)vocabulary->bytes[start + depth] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest special token that text starts with; the sorted list is walked as a trie. */
static int32_t special_at(const struct vocabulary *vocabulary, const char *text, size_t bytes,
                          bool control)
{
    unsigned first = (unsigned char)text[0];
    uint32_t low = vocabulary->special_start[first], high = vocabulary->special_start[first + 1];
    int32_t best = -1;
    for (size_t depth = 1; low < high; depth++) {
        uint32_t id = vocabulary->special[low];
        if (vocabulary->start[id + 1] - vocabulary->start[id] == depth) {
            if (control || vocabulary->type[id] == TOKEN_USER_DEFINED)
                best = (int32_t)id;
            low++;
        }
        if (depth == bytes)
            break;
        unsigned next = (unsigned char)text[depth];
        low = special_bound(vocabulary, low, high, depth, next);
        high = special_bound(vocabulary, low, high, depth, next + 1);
    }
    return best;
}

int32_t vocabulary_find_special(const struct vocabulary *vocabulary, const char *text, size_t bytes,
                                size_t from, bool control, size_t *at)
{
    if (!vocabulary->has_added && !(control && vocabulary->has_control))
        return -1;
    for (size_t i = from; i < bytes; i++) {
        unsigned first = (unsigned char)text[i];
        if (vocabulary->special_start[first] == vocabulary->special_start[first + 1])
            continue;
        int32_t id = special_at(vocabulary, text + i, bytes - i, control);
        if (id >= 0) {
            *at = i;
            return id;
        }
    }
    return -1;
}
