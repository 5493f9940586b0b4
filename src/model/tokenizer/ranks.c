#include "model/tokenizer/ranks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/tokenizer/byte_alphabet.h"

enum {
    SPECIALS = 256, /* of Llama 3 */
    END_OF_TEXT = 1,
    LLAMA3_RANKS = 128000,
    LIMIT_BYTES = 32 << 20,
    MAX_BASE64 = (RANKS_MAX_TOKEN_BYTES + 2) / 3 * 4
};

/* The names of the first; the others are reserved. */
static const char *const special_names[] = {"<|begin_of_text|>",
                                            "<|end_of_text|>",
                                            "<|reserved_special_token_0|>",
                                            "<|reserved_special_token_1|>",
                                            "<|finetune_right_pad_id|>",
                                            "<|step_id|>",
                                            "<|start_header_id|>",
                                            "<|end_header_id|>",
                                            "<|eom_id|>",
                                            "<|eot_id|>",
                                            "<|python_tag|>",
                                            "<|image|>"};

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Decodes base64 with its padding into out. Returns the bytes; 0 when it is none. */
static size_t base64_decode(const char *text, size_t length, unsigned char *out)
{
    size_t used = 0, padding = 0;
    if (length == 0 || length % 4 != 0 || length > MAX_BASE64)
        return 0;
    while (padding < 2 && text[length - 1 - padding] == '=')
        padding++;
    for (size_t at = 0; at < length; at += 4) {
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int digit = at + i >= length - padding ? 0 : digit_of(text[at + i]);
            if (digit < 0)
                return 0;
            bits = bits << 6 | (uint32_t)digit;
        }
        out[used++] = (unsigned char)(bits >> 16);
        out[used++] = (unsigned char)(bits >> 8);
        out[used++] = (unsigned char)bits;
    }
    return used - padding;
}

struct reader {
    struct token_text *tokens; /* by rank */
    size_t count;
    struct arena *arena;
    struct error *err;
};

/* "BASE64 RANK", without the newline. False when it is not, or a token has this rank already. */
static bool line_parse(const char *line, size_t bytes, size_t count, unsigned char *token,
                       size_t *token_bytes, size_t *rank)
{
    const char *space = memchr(line, ' ', bytes);
    size_t length = space ? (size_t)(space - line) : 0, digits = bytes - length - 1;
    if (!space || digits == 0 || digits > 9)
        return false;
    *rank = 0;
    for (size_t i = length + 1; i < bytes; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        *rank = *rank * 10 + (size_t)(line[i] - '0');
    }
    *token_bytes = base64_decode(line, length, token);
    return *token_bytes > 0 && *token_bytes <= RANKS_MAX_TOKEN_BYTES && *rank < count;
}

static enum status line_read(const struct reader *r, const char *line, size_t bytes, size_t number)
{
    unsigned char token[MAX_BASE64];
    size_t token_bytes, rank, used = 0;
    if (!line_parse(line, bytes, r->count, token, &token_bytes, &rank))
        return error_set(r->err, STATUS_FORMAT,
                         "line %zu is not a token of 1 to %d bytes in base64 and a rank below the "
                         "number of lines",
                         number, RANKS_MAX_TOKEN_BYTES);
    if (r->tokens[rank].data)
        return error_set(r->err, STATUS_FORMAT, "line %zu: another token has rank %zu", number,
                         rank);
    char *spelled = arena_alloc(r->arena, 2 * token_bytes + 1);
    if (!spelled)
        return error_no_memory(r->err, 2 * token_bytes + 1);
    for (size_t i = 0; i < token_bytes; i++)
        used += byte_alphabet_encode(token[i], spelled + used);
    r->tokens[rank] = (struct token_text){spelled, used};
    return STATUS_OK;
}

static enum status specials_add(const struct reader *r, int32_t *types)
{
    enum { NAMED = sizeof special_names / sizeof *special_names, RESERVED_BEFORE = 2 };
    for (int i = 0; i < SPECIALS; i++) {
        const char *name = i < NAMED ? special_names[i]
                                     : arena_printf(r->arena, "<|reserved_special_token_%d|>",
                                                    i - NAMED + RESERVED_BEFORE);
        if (!name)
            return error_no_memory(r->err, sizeof "<|reserved_special_token_255|>");
        r->tokens[r->count + (size_t)i] = (struct token_text){name, strlen(name)};
        types[r->count + (size_t)i] = TOKEN_CONTROL;
    }
    return STATUS_OK;
}

static size_t lines_count(const char *text, size_t bytes)
{
    size_t count = bytes > 0 && text[bytes - 1] != '\n';
    for (size_t i = 0; i < bytes; i++)
        count += text[i] == '\n';
    return count;
}

static enum status read_all(const struct reader *r, const char *text, size_t bytes, int32_t *types)
{
    const char *end = text + bytes;
    enum status status = STATUS_OK;
    for (size_t number = 0; number < r->count && status == STATUS_OK; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        status = line_read(r, text, (size_t)(stop - text), number + 1);
        types[number] = TOKEN_NORMAL;
        text = newline ? newline + 1 : end;
    }
    return status == STATUS_OK ? specials_add(r, types) : status;
}

enum status ranks_parse(struct tokenizer_parts *parts, struct arena *arena, const char *text,
                        size_t bytes, const char *origin, struct error *err)
{
    struct reader r = {.count = lines_count(text, bytes), .arena = arena, .err = err};
    size_t total = r.count + SPECIALS;
    /* A SentencePiece model starts with the tag of its first piece, which looks like this. */
    if (bytes > 0 && text[0] == '\n') {
        error_set(err, STATUS_UNSUPPORTED, "the tokeniser is SentencePiece's, not ranks of tokens");
        return error_where(err, "%s", origin);
    }
    if (r.count == 0) {
        error_set(err, STATUS_FORMAT, "the file has no tokens");
        return error_where(err, "%s", origin);
    }
    r.tokens = arena_array(arena, total, sizeof *r.tokens);
    int32_t *types = arena_array(arena, total, sizeof *types);
    if (!r.tokens || !types)
        return error_no_memory(err, total * sizeof *r.tokens);
    enum status status = read_all(&r, text, bytes, types);
    if (status != STATUS_OK) {
        error_where(err, "%s", origin);
        return status;
    }
    *parts = (struct tokenizer_parts){.origin = origin,
                                      .pre = "llama-bpe",
                                      .tokens = r.tokens,
                                      .types = types,
                                      .token_count = total,
                                      .merges_by_rank = true,
                                      .bos = (int64_t)r.count,
                                      .eos = (int64_t)r.count + END_OF_TEXT};
    return STATUS_OK;
}

enum status tokenizer_open_ranks(struct tokenizer **tokenizer, const char *path, struct error *err)
{
    struct arena arena = {0};
    struct tokenizer_parts parts = {0};
    char *text = NULL;
    size_t bytes;
    *tokenizer = NULL;
    enum status status = file_read(path, LIMIT_BYTES, &text, &bytes, err);
    if (status != STATUS_OK)
        return status;
    status = ranks_parse(&parts, &arena, text, bytes, path, err);
    if (status == STATUS_OK && parts.token_count != LLAMA3_RANKS + SPECIALS) {
        error_set(err, STATUS_UNSUPPORTED,
                  "the number of ranks is %zu; which special tokens follow is known for "
                  "Llama 3's %d alone",
                  parts.token_count - SPECIALS, LLAMA3_RANKS);
        error_where(err, "%s", path);
        status = error_remedy(err, "Use the model as GGUF, or with its tokenizer.json.");
    }
    if (status == STATUS_OK)
        status = tokenizer_create(tokenizer, &parts, err);
    arena_free(&arena);
    free(text);
    return status;
}
