/* Bytes as a tokenizer.json that is its own tokenizer_config.json too: read, and what is accepted
 * is consistent. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/tokenizer/token_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 300 };

static bool is_id(int32_t id)
{
    return id >= -1 && id < TOKENS;
}

static void agree_in_merges(const struct tokenizer_json *json, const json_t *merges)
{
    char joined[1 << 16];
    if (!json_is_array(merges))
        return;
    if (json->merge_count != json_array_size(merges))
        abort();
    for (size_t i = 0; i < json->merge_count; i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *whole = json_string_value(merge);
        if (!whole) {
            snprintf(joined, sizeof joined, "%s %s", json_string_value(json_array_get(merge, 0)),
                     json_string_value(json_array_get(merge, 1)));
            whole = joined;
        }
        if (strncmp(json->merges[i], whole, sizeof joined - 1) != 0)
            abort();
    }
}

/* What is read in place is what jansson reads, and nothing that it refuses is read; but that it
 * refuses a text that two tokens have. */
static void agree(enum status status, const struct tokenizer_json *json, const char *text,
                  size_t size)
{
    if (status != STATUS_OK)
        return;
    json_error_t problem;
    json_t *tree = json_loadb(text, size, 0, &problem);
    if (!tree)
        abort();
    const json_t *model = json_object_get(tree, "model");
    const json_t *vocabulary = json_object_get(model, "vocab");
    for (size_t i = 0; i < json->vocabulary_count; i++)
        if (!json_is_integer(json_object_get(vocabulary, json->vocabulary[i].text)))
            abort();
    agree_in_merges(json, json_object_get(model, "merges"));
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct token_list list;
    struct error err;
    struct tokenizer_json json;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum status status = tokenizer_json_parse(&json, text, size, "fuzz", &err);
    agree(status, &json, (const char *)data, size);
    if (status == STATUS_OK &&
        token_list_from_json(&list, &arena, &json, json.rest, "fuzz", TOKENS, &err) == STATUS_OK) {
        if (!list.pre || !is_id(list.bos) || !is_id(list.eos) || !is_id(list.eot))
            abort();
        for (uint32_t i = 0; i < list.count; i++)
            if (!list.tokens[i] || list.types[i] < TOKEN_NORMAL || list.types[i] > TOKEN_BYTE)
                abort();
        for (uint32_t i = 0; i < list.merge_count; i++)
            if (!list.merges[i])
                abort();
    }
    arena_free(&arena);
    tokenizer_json_close(&json);
    free(text);
    return 0;
}
