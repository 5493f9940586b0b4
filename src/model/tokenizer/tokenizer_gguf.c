#include <stdlib.h>
#include <string.h>

#include "model/gguf/gguf.h"
#include "model/tokenizer/tokenizer_parts.h"

enum { NAME_BYTES = 64 };

/* A metadata string that is a short printable name, as a C string. */
static enum status name_get(const struct gguf *gguf, const char *key, char name[NAME_BYTES],
                            struct error *err)
{
    struct gguf_string string;
    enum status status = gguf_get_string(gguf, key, &string, err);
    if (status != STATUS_OK)
        return status;
    bool printable = string.bytes < NAME_BYTES;
    for (size_t i = 0; printable && i < string.bytes; i++)
        printable = string.data[i] > ' ' && string.data[i] <= '~';
    if (!printable) {
        error_set(err, STATUS_FORMAT, "%s is not a name", key);
        return error_where(err, "%s", gguf->path);
    }
    memcpy(name, string.data, string.bytes);
    name[string.bytes] = '\0';
    return STATUS_OK;
}

static enum status kind_check(const struct gguf *gguf, struct error *err)
{
    const char *key = "tokenizer.ggml.model";
    char model[NAME_BYTES];
    if (!gguf_find(gguf, key)) {
        error_set(err, STATUS_NOT_FOUND, "the model has no tokeniser: %s is missing", key);
        return error_where(err, "%s", gguf->path);
    }
    enum status status = name_get(gguf, key, model, err);
    if (status != STATUS_OK)
        return status;
    if (strcmp(model, "gpt2") != 0) {
        error_set(err, STATUS_UNSUPPORTED, "tokeniser '%s' is not supported", model);
        error_where(err, "%s, %s", gguf->path, key);
        return error_remedy(err, "Byte-level BPE ('gpt2') is.");
    }
    return STATUS_OK;
}

static enum status strings_get(const struct gguf *gguf, const char *key, struct arena *arena,
                               const struct token_text **texts, size_t *count, struct error *err)
{
    const struct gguf_value *array;
    enum status status = gguf_get_strings(gguf, key, &array, err);
    if (status != STATUS_OK)
        return status;
    struct token_text *text = arena_array(arena, array->count, sizeof *text);
    if (!text)
        return error_no_memory(err, array->count * sizeof *text);
    *texts = text;
    *count = array->count;
    struct gguf_string string;
    for (struct gguf_walk walk = gguf_walk_start(array); gguf_walk_next(&walk, &string); text++)
        *text = (struct token_text){string.data, string.bytes};
    return STATUS_OK;
}

/* Types are optional. One that no int32_t holds becomes 0, which is none either. */
static enum status types_get(const struct gguf *gguf, struct arena *arena,
                             struct tokenizer_parts *parts, struct error *err)
{
    const char *key = "tokenizer.ggml.token_type";
    const struct gguf_value *array;
    if (!gguf_find(gguf, key))
        return STATUS_OK;
    enum status status = gguf_get_ints(gguf, key, &array, err);
    if (status != STATUS_OK)
        return status;
    if (array->count != parts->token_count) {
        error_set(err, STATUS_FORMAT, "%llu token types for %zu tokens",
                  (unsigned long long)array->count, parts->token_count);
        return error_where(err, "%s, %s", gguf->path, key);
    }
    int32_t *types = arena_array(arena, array->count, sizeof *types);
    if (!types)
        return error_no_memory(err, array->count * sizeof *types);
    for (uint64_t i = 0; i < array->count; i++) {
        int64_t type = gguf_int_at(array, i);
        types[i] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (int32_t)type : 0;
    }
    parts->types = types;
    return STATUS_OK;
}

static enum status create(struct tokenizer **tokenizer, const struct gguf *gguf,
                          struct arena *arena, struct error *err)
{
    struct tokenizer_parts parts = {.origin = gguf->path};
    const char *add_bos = "tokenizer.ggml.add_bos_token";
    char pre[NAME_BYTES];
    bool adds_bos;
    enum status status = kind_check(gguf, err);
    if (status != STATUS_OK)
        return status;
    if ((status = name_get(gguf, "tokenizer.ggml.pre", pre, err)) != STATUS_OK ||
        (status = strings_get(gguf, "tokenizer.ggml.tokens", arena, &parts.tokens,
                              &parts.token_count, err)) != STATUS_OK ||
        (status = strings_get(gguf, "tokenizer.ggml.merges", arena, &parts.merges,
                              &parts.merge_count, err)) != STATUS_OK ||
        (status = types_get(gguf, arena, &parts, err)) != STATUS_OK ||
        (status = gguf_get_int_or(gguf, "tokenizer.ggml.bos_token_id", 0, INT32_MAX, -1, &parts.bos,
                                  err)) != STATUS_OK ||
        (status = gguf_get_int_or(gguf, "tokenizer.ggml.eos_token_id", 0, INT32_MAX, -1, &parts.eos,
                                  err)) != STATUS_OK ||
        (status = gguf_get_bool_or(gguf, add_bos, false, &adds_bos, err)) != STATUS_OK)
        return status;
    parts.pre = pre;
    if (gguf_find(gguf, add_bos))
        parts.adds_bos = &adds_bos;
    return tokenizer_create(tokenizer, &parts, err);
}

enum status tokenizer_open_gguf(struct tokenizer **tokenizer, const char *path, struct error *err)
{
    struct gguf gguf;
    struct arena arena = {0};
    *tokenizer = NULL;
    enum status status = gguf_open(&gguf, path, err);
    if (status != STATUS_OK)
        return status;
    status = create(tokenizer, &gguf, &arena, err);
    arena_free(&arena);
    gguf_close(&gguf);
    return status;
}
