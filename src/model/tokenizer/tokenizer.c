#include "model/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/pretokenizer.h"
#include "model/tokenizer/tokenizer_parts.h"
#include "model/tokenizer/vocabulary.h"

struct tokenizer {
    struct vocabulary vocabulary;
    struct bpe bpe;
    struct pretokenizer pretokenizer;
    int32_t bos, eos;
    bool adds_bos;
    struct arena arena;
};

static enum status id_check(const struct tokenizer_parts *parts, const char *name, int64_t id,
                            struct error *err)
{
    if (id >= -1 && id < (int64_t)parts->token_count)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "%s is token %lld of a vocabulary of %zu", name, (long long)id,
              parts->token_count);
    return error_where(err, "%s", parts->origin);
}

enum status tokenizer_create(struct tokenizer **tokenizer, const struct tokenizer_parts *parts,
                             struct error *err)
{
    struct tokenizer *made = calloc(1, sizeof *made);
    *tokenizer = NULL;
    if (!made)
        return error_no_memory(err, sizeof *made);
    enum status status = pretokenizer_init(&made->pretokenizer, parts->pre, err);
    if (status != STATUS_OK) {
        error_where(err, "%s", parts->origin);
        goto cleanup;
    }
    if ((status = id_check(parts, "bos", parts->bos, err)) != STATUS_OK ||
        (status = id_check(parts, "eos", parts->eos, err)) != STATUS_OK)
        goto cleanup;
    made->bos = (int32_t)parts->bos;
    made->eos = (int32_t)parts->eos;
    made->adds_bos = parts->adds_bos ? *parts->adds_bos : made->pretokenizer.adds_bos;
    status = vocabulary_init(&made->vocabulary, parts, &made->arena, err);
    if (status != STATUS_OK)
        goto cleanup;
    status = bpe_init(&made->bpe, &made->vocabulary, parts, err);
    if (status == STATUS_OK) {
        *tokenizer = made;
        made = NULL;
    }
cleanup:
    tokenizer_close(made);
    return status;
}

void tokenizer_close(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pretokenizer_free(&tokenizer->pretokenizer);
    bpe_free(&tokenizer->bpe);
    arena_free(&tokenizer->arena);
    free(tokenizer);
}

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->adds_bos && tokenizer->bos >= 0;
}

/* One call of tokenizer_encode. */
struct encoding {
    const struct tokenizer *tokenizer;
    pcre2_match_data *space;
    struct bpe_scratch scratch;
    int32_t *ids; /* room for one id per byte of text, and bos */
    size_t count;
};

static enum status encode_piece(struct encoding *encoding, const char *piece, size_t bytes,
                                struct error *err)
{
    const struct tokenizer *tokenizer = encoding->tokenizer;
    if (tokenizer->pretokenizer.whole_tokens) {
        int32_t id = vocabulary_find(&tokenizer->vocabulary, piece, bytes);
        if (id >= 0) {
            encoding->ids[encoding->count++] = id;
            return STATUS_OK;
        }
    }
    return bpe_encode(&tokenizer->bpe, piece, bytes, &encoding->scratch, encoding->ids,
                      &encoding->count, err);
}

/* Text without special tokens. What is not UTF-8 is encoded byte by byte, and ends the text before
 * it as far as the pattern is concerned. */
static enum status encode_plain(struct encoding *encoding, const char *text, size_t bytes,
                                struct error *err)
{
    const struct pretokenizer *pretokenizer = &encoding->tokenizer->pretokenizer;
    for (size_t at = 0; at < bytes;) {
        size_t valid = utf8_valid_prefix(text + at, bytes - at), from = 0, end;
        while (from < valid) {
            enum status status =
                pretokenizer_next(pretokenizer, encoding->space, text + at, valid, from, &end, err);
            if (status == STATUS_OK)
                status = encode_piece(encoding, text + at + from, end - from, err);
            if (status != STATUS_OK)
                return status;
            from = end;
        }
        at += valid;
        if (at < bytes) {
            enum status status = encode_piece(encoding, text + at, 1, err);
            if (status != STATUS_OK)
                return status;
            at++;
        }
    }
    return STATUS_OK;
}

static enum status encode_text(struct encoding *encoding, const char *text, size_t bytes,
                               bool control, struct error *err)
{
    const struct vocabulary *vocabulary = &encoding->tokenizer->vocabulary;
    enum status status = STATUS_OK;
    for (size_t from = 0; from < bytes && status == STATUS_OK;) {
        size_t at = bytes, length = 0;
        int32_t id = vocabulary_find_special(vocabulary, text, bytes, from, control, &at);
        status = encode_plain(encoding, text + from, at - from, err);
        if (status == STATUS_OK && id >= 0) {
            vocabulary_bytes(vocabulary, (uint32_t)id, &length);
            encoding->ids[encoding->count++] = id;
        }
        from = at + length;
    }
    return status;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                             unsigned flags, int32_t **ids, size_t *count, struct error *err)
{
    struct encoding encoding = {.tokenizer = tokenizer};
    *ids = NULL;
    *count = 0;
    if (bytes >= INT32_MAX)
        return error_set(err, STATUS_UNSUPPORTED,
                         "a text of %zu bytes; at most 2 GiB are tokenised at once", bytes);
    enum status status = STATUS_OK;
    encoding.space = pretokenizer_space(&tokenizer->pretokenizer);
    encoding.ids = malloc((bytes + 1) * sizeof *encoding.ids);
    if (!encoding.space || !encoding.ids) {
        status = error_no_memory(err, (bytes + 1) * sizeof *encoding.ids);
        goto cleanup;
    }
    if ((flags & TOKENIZER_ADD_BOS) && tokenizer->bos >= 0)
        encoding.ids[encoding.count++] = tokenizer->bos;
    if (flags & TOKENIZER_TEXT_ONLY)
        status = encode_plain(&encoding, text, bytes, err);
    else
        status = encode_text(&encoding, text, bytes, flags & TOKENIZER_PARSE_SPECIAL, err);
    if (status != STATUS_OK)
        goto cleanup;
    int32_t *fitting = realloc(encoding.ids, (encoding.count + 1) * sizeof *fitting);
    *ids = fitting ? fitting : encoding.ids;
    *count = encoding.count;
    encoding.ids = NULL;
cleanup:
    pcre2_match_data_free(encoding.space);
    bpe_scratch_free(&encoding.scratch);
    free(encoding.ids);
    return status;
}

const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id, size_t *bytes)
{
    *bytes = 0;
    if (id < 0 || (uint32_t)id >= tokenizer->vocabulary.count)
        return NULL;
    return vocabulary_bytes(&tokenizer->vocabulary, (uint32_t)id, bytes);
}

enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             char **text, size_t *bytes, struct error *err)
{
    size_t total = 0, length;
    *text = NULL;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!tokenizer_token(tokenizer, ids[i], &length))
            return error_set(err, STATUS_FORMAT,
                             "id %d at position %zu is outside the vocabulary of %u", (int)ids[i],
                             i, (unsigned)tokenizer->vocabulary.count);
        if (__builtin_add_overflow(total, length, &total) || total == SIZE_MAX)
            return error_no_memory(err, SIZE_MAX);
    }
    char *joined = malloc(total + 1);
    if (!joined)
        return error_no_memory(err, total + 1);
    for (size_t i = 0; i < count; i++) {
        const char *token = tokenizer_token(tokenizer, ids[i], &length);
        memcpy(joined + *bytes, token, length);
        *bytes += length;
    }
    joined[total] = '\0';
    *text = joined;
    return STATUS_OK;
}
