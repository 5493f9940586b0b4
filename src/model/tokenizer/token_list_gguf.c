#include <string.h>

#include "model/printable.h"
#include "model/tokenizer/token_list.h"

/* A copy of a string that is text: a NUL inside would cut it. NULL (and err) otherwise. */
static const char *text_copy(struct arena *arena, struct gguf_string string, const char *key,
                             struct error *err)
{
    char *copy = NULL;
    if (memchr(string.data, '\0', string.bytes)) {
        error_set(err, STATUS_FORMAT, "a string of the tokenizer has a NUL byte in it");
        error_where(err, "%s", key);
    } else if (!(copy = arena_strndup(arena, string.data, string.bytes))) {
        error_no_memory(err, string.bytes);
    }
    return copy;
}

static enum status strings_copy(struct arena *arena, const struct gguf *gguf, const char *key,
                                const char ***strings, uint32_t *count, struct error *err)
{
    const struct gguf_value *array;
    enum status status = gguf_get_strings(gguf, key, &array, err);
    if (status)
        return status;
    if (array->count > INT32_MAX) {
        error_set(err, STATUS_FORMAT, "too many tokens or merges");
        return error_where(err, "%s: %s", gguf->path, key);
    }
    *strings = arena_array(arena, array->count, sizeof **strings);
    if (!*strings)
        return error_no_memory(err, array->count * sizeof **strings);
    struct gguf_walk walk = gguf_walk_start(array);
    struct gguf_string string;
    for (*count = 0; *count < array->count && gguf_walk_next(&walk, &string); ++*count)
        if (!((*strings)[*count] = text_copy(arena, string, key, err)))
            return err->status;
    return STATUS_OK;
}

static enum status types_copy(struct token_list *list, struct arena *arena, const struct gguf *gguf,
                              struct error *err)
{
    const char *key = "tokenizer.ggml.token_type";
    const struct gguf_value *array = NULL;
    list->types = arena_array(arena, list->count, sizeof *list->types);
    if (!list->types)
        return error_no_memory(err, list->count * sizeof *list->types);
    if (gguf_find(gguf, key)) {
        enum status status = gguf_get_ints(gguf, key, &array, err);
        if (status)
            return status;
        if (array->count != list->count) {
            error_set(err, STATUS_FORMAT, "the types of %llu tokens are given, but there are %u",
                      (unsigned long long)array->count, list->count);
            return error_where(err, "%s: %s", gguf->path, key);
        }
    }
    for (uint32_t i = 0; i < list->count; i++) {
        int64_t type = array ? gguf_int_at(array, i) : TOKEN_NORMAL;
        list->types[i] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (int32_t)type : TOKEN_NORMAL;
    }
    return STATUS_OK;
}

static enum status id_get(const struct token_list *list, const struct gguf *gguf, const char *key,
                          int32_t *id, struct error *err)
{
    int64_t value;
    enum status status = gguf_get_int_or(gguf, key, -1, UINT32_MAX, -1, &value, err);
    *id = value < list->count ? (int32_t)value : -1;
    return status;
}

static enum status text_get(struct arena *arena, const struct gguf *gguf, const char *key,
                            const char **text, struct error *err)
{
    struct gguf_string string;
    enum status status = gguf_get_string_or_null(gguf, key, &string, err);
    *text = NULL;
    if (!status && string.data && !(*text = text_copy(arena, string, key, err)))
        return err->status;
    return status;
}

/* The tokenizer's kind: GPT-2's, split in one of the ways that is known. */
static enum status kind_get(struct token_list *list, struct arena *arena, const struct gguf *gguf,
                            struct error *err)
{
    const char *model;
    enum status status = text_get(arena, gguf, "tokenizer.ggml.model", &model, err);
    if (!status)
        status = text_get(arena, gguf, "tokenizer.ggml.pre", &list->pre, err);
    if (status)
        return status;
    if (!model) {
        error_set(err, STATUS_NOT_FOUND, "the file has no tokenizer");
        return error_where(err, "%s", gguf->path);
    }
    if (strcmp(model, "gpt2") != 0 || !list->pre) {
        char kind[64];
        error_set(err, STATUS_UNSUPPORTED, "the tokenizer is of the kind %s%s, not byte-level BPE",
                  printable(kind, sizeof kind, model, strlen(model)),
                  list->pre ? "" : " without tokenizer.ggml.pre");
        return error_where(err, "%s", gguf->path);
    }
    return STATUS_OK;
}

enum status token_list_from_gguf(struct token_list *list, struct arena *arena,
                                 const struct gguf *gguf, struct error *err)
{
    *list = (struct token_list){0};
    enum status status = kind_get(list, arena, gguf, err);
    if (!status)
        status =
            strings_copy(arena, gguf, "tokenizer.ggml.tokens", &list->tokens, &list->count, err);
    if (!status)
        status = strings_copy(arena, gguf, "tokenizer.ggml.merges", &list->merges,
                              &list->merge_count, err);
    if (!status)
        status = types_copy(list, arena, gguf, err);
    if (!status)
        status = id_get(list, gguf, "tokenizer.ggml.bos_token_id", &list->bos, err);
    if (!status)
        status = id_get(list, gguf, "tokenizer.ggml.eos_token_id", &list->eos, err);
    if (!status)
        status = id_get(list, gguf, "tokenizer.ggml.eot_token_id", &list->eot, err);
    if (!status)
        status = id_get(list, gguf, "tokenizer.ggml.eom_token_id", &list->eom, err);
    if (!status)
        status = gguf_get_bool_or(gguf, "tokenizer.ggml.add_bos_token",
                                  strcmp(list->pre, "llama-bpe") == 0, &list->add_bos, err);
    if (!status)
        status = text_get(arena, gguf, "tokenizer.chat_template", &list->chat_template, err);
    return status;
}

static void id_put(struct gguf_head *head, const char *key, int32_t id)
{
    if (id >= 0)
        gguf_write_u32(head, key, (uint32_t)id);
}

void token_list_to_gguf(const struct token_list *list, struct gguf_head *head)
{
    gguf_write_string(head, "tokenizer.ggml.model", "gpt2");
    gguf_write_string(head, "tokenizer.ggml.pre", list->pre);
    gguf_write_strings(head, "tokenizer.ggml.tokens", list->tokens, list->count);
    gguf_write_i32s(head, "tokenizer.ggml.token_type", list->types, list->count);
    gguf_write_strings(head, "tokenizer.ggml.merges", list->merges, list->merge_count);
    id_put(head, "tokenizer.ggml.bos_token_id", list->bos);
    id_put(head, "tokenizer.ggml.eos_token_id", list->eos);
    id_put(head, "tokenizer.ggml.eot_token_id", list->eot);
    id_put(head, "tokenizer.ggml.eom_token_id", list->eom);
    gguf_write_bool(head, "tokenizer.ggml.add_bos_token", list->add_bos && list->bos >= 0);
    if (list->chat_template)
        gguf_write_string(head, "tokenizer.chat_template", list->chat_template);
}
