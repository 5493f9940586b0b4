#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/printable.h"
#include "model/safetensors/json_write.h"
#include "model/tokenizer/pretokenizer_json.h"
#include "model/tokenizer/token_list.h"

/* {"token": id, ...}; NULL with err filled when it cannot be written so. */
static json_t *vocabulary_object(const struct token_list *list, struct error *err)
{
    json_t *object = json_object();
    for (uint32_t id = 0; object && id < list->count; id++) {
        if (json_object_get(object, list->tokens[id])) {
            error_set(err, STATUS_FORMAT, "token %u is there twice", id);
            json_decref(object);
            return NULL;
        }
        if (json_object_set_new(object, list->tokens[id], json_integer(id)) != 0) {
            error_set(err, STATUS_FORMAT, "token %u is not valid UTF-8", id);
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *merges_array(const struct token_list *list, struct error *err)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array && i < list->merge_count; i++) {
        if (json_array_append_new(array, json_string(list->merges[i])) != 0) {
            error_set(err, STATUS_FORMAT, "merge %u is not valid UTF-8", i);
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static bool is_added(enum token_type type)
{
    return type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED || type == TOKEN_UNKNOWN;
}

/* A token that is matched in the text before BPE. */
static json_t *added_token(const struct token_list *list, uint32_t id)
{
    return json_pack("{s:s,s:b,s:b,s:b,s:b,s:b}", "content", list->tokens[id], "single_word", 0,
                     "lstrip", 0, "rstrip", 0, "normalized", 0, "special",
                     list->types[id] != TOKEN_USER_DEFINED);
}

static json_t *added_tokens(const struct token_list *list)
{
    json_t *array = json_array();
    for (uint32_t id = 0; id < list->count; id++) {
        if (is_added(list->types[id])) {
            json_t *token = added_token(list, id);
            json_object_set_new(token, "id", json_integer(id));
            json_array_append_new(array, token);
        }
    }
    return array;
}

/* Puts bos before the text, if the model wants that. */
static json_t *post_processor(const struct token_list *list)
{
    if (!list->add_bos || list->bos < 0)
        return json_null();
    const char *bos = list->tokens[list->bos];
    return json_pack("{s:s,s:[{s:{s:s,s:i}},{s:{s:s,s:i}}],"
                     "s:[{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}},{s:{s:s,s:i}}],"
                     "s:{s:{s:s,s:[i],s:[s]}}}",
                     "type", "TemplateProcessing", "single", "SpecialToken", "id", bos, "type_id",
                     0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", bos,
                     "type_id", 0, "Sequence", "id", "A", "type_id", 0, "SpecialToken", "id", bos,
                     "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", bos, "id",
                     bos, "ids", list->bos, "tokens", bos);
}

static json_t *tokenizer_json(const struct token_list *list, struct error *err)
{
    json_t *pretokenizer = pretokenizer_to_json(list->pre), *tokens = NULL, *merges = NULL;
    if (!pretokenizer) {
        char pre[64];
        error_set(err, STATUS_UNSUPPORTED,
                  "the way the tokenizer splits text cannot be said in tokenizer.json: %s",
                  printable(pre, sizeof pre, list->pre, strlen(list->pre)));
        return NULL;
    }
    tokens = vocabulary_object(list, err);
    merges = tokens ? merges_array(list, err) : NULL;
    if (!merges) {
        json_decref(pretokenizer);
        json_decref(tokens);
        return NULL;
    }
    json_t *model = json_pack(
        "{s:s,s:n,s:n,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
        "ignore_merges", pretokenizer_ignores_merges(list->pre), "vocab", tokens, "merges", merges);
    json_t *decoder = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                                "trim_offsets", 1, "use_regex", 1);
    return json_pack("{s:s,s:n,s:n,s:o,s:n,s:o,s:o,s:o,s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", added_tokens(list), "normalizer", "pre_tokenizer",
                     pretokenizer, "post_processor", post_processor(list), "decoder", decoder,
                     "model", model);
}

static json_t *tokenizer_config(const struct token_list *list, uint32_t context)
{
    json_t *config =
        json_pack("{s:s,s:b,s:I,s:[s,s]}", "tokenizer_class", "PreTrainedTokenizerFast",
                  "clean_up_tokenization_spaces", 0, "model_max_length", (json_int_t)context,
                  "model_input_names", "input_ids", "attention_mask");
    json_t *decoder = json_object();
    for (uint32_t id = 0; id < list->count; id++) {
        char key[16];
        snprintf(key, sizeof key, "%u", id);
        if (is_added(list->types[id]))
            json_object_set_new(decoder, key, added_token(list, id));
    }
    json_object_set_new(config, "added_tokens_decoder", decoder);
    if (list->bos >= 0)
        json_object_set_new(config, "bos_token", json_string(list->tokens[list->bos]));
    if (list->eos >= 0)
        json_object_set_new(config, "eos_token", json_string(list->tokens[list->eos]));
    if (list->chat_template)
        json_object_set_new(config, "chat_template", json_string(list->chat_template));
    return config;
}

enum status token_list_to_folder(const struct token_list *list, const char *folder,
                                 uint32_t context, struct error *err)
{
    json_t *json = tokenizer_json(list, err);
    if (!json)
        return err->status;
    enum status status = json_write(json, folder, "tokenizer.json", err);
    json_decref(json);
    if (status)
        return status;
    json = tokenizer_config(list, context);
    status = json_write(json, folder, "tokenizer_config.json", err);
    json_decref(json);
    return status;
}
