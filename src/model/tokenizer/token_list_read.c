#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "model/tokenizer/pretokenizer_json.h"
#include "model/tokenizer/token_list.h"

struct reader {
    struct token_list *list;
    struct arena *arena;
    const char *path;
    struct error *err;
};

static enum status broken(const struct reader *r, const char *what)
{
    error_set(r->err, STATUS_FORMAT, "%s", what);
    error_where(r->err, "%s", r->path);
    return error_remedy(r->err, "Fetch the model's tokenizer again.");
}

static enum status unsupported(const struct reader *r, const char *what)
{
    error_set(r->err, STATUS_UNSUPPORTED, "%s", what);
    return error_where(r->err, "%s", r->path);
}

/* The text is not copied. */
static enum status token_add(const struct reader *r, int64_t index, const char *text,
                             enum token_type type)
{
    if (!text || index < 0 || index >= r->list->count)
        return broken(r, "a token has no text, or an id outside the model's vocabulary");
    if (r->list->tokens[index] && strcmp(r->list->tokens[index], text) != 0)
        return broken(r, "two tokens have the same id");
    r->list->tokens[index] = text;
    r->list->types[index] = type;
    return STATUS_OK;
}

static enum status read_added(const struct reader *r, const json_t *tokenizer)
{
    const json_t *added = json_object_get(tokenizer, "added_tokens"), *token;
    size_t index;
    enum status status = STATUS_OK;
    json_array_foreach(added, index, token)
    {
        const json_t *id = json_object_get(token, "id");
        const char *content = json_string_value(json_object_get(token, "content"));
        const char *text = content ? arena_strdup(r->arena, content) : NULL;
        bool special = json_is_true(json_object_get(token, "special"));
        if (!status && content && !text)
            status = error_no_memory(r->err, strlen(content));
        if (!status)
            status = token_add(r, json_is_integer(id) ? json_integer_value(id) : -1, text,
                               special ? TOKEN_CONTROL : TOKEN_USER_DEFINED);
    }
    return status;
}

static enum status fill_gaps(const struct reader *r)
{
    for (uint32_t i = 0; i < r->list->count; i++) {
        if (r->list->tokens[i])
            continue;
        r->list->tokens[i] = arena_printf(r->arena, "[PAD%u]", i);
        r->list->types[i] = TOKEN_UNUSED;
        if (!r->list->tokens[i])
            return error_no_memory(r->err, 16);
    }
    return STATUS_OK;
}

static enum status read_tokens(const struct reader *r, const struct tokenizer_json *json)
{
    enum status status = STATUS_OK;
    if (!json->vocabulary)
        return broken(r, "there is no vocabulary");
    for (size_t i = 0; i < json->vocabulary_count && !status; i++)
        status = token_add(r, json->vocabulary[i].id, json->vocabulary[i].text, TOKEN_NORMAL);
    if (!status)
        status = read_added(r, json->rest);
    return status ? status : fill_gaps(r);
}

static enum status read_merges(const struct reader *r, const struct tokenizer_json *json)
{
    struct token_list *list = r->list;
    if (json->merge_count > INT32_MAX)
        return broken(r, "there are too many merges");
    list->merges = arena_array(r->arena, json->merge_count + 1, sizeof *list->merges);
    if (!list->merges)
        return error_no_memory(r->err, json->merge_count * sizeof *list->merges);
    if (json->merge_count)
        memcpy(list->merges, json->merges, json->merge_count * sizeof *list->merges);
    list->merge_count = (uint32_t)json->merge_count;
    return STATUS_OK;
}

static enum status read_kind(const struct reader *r, const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    if (type && strcmp(type, "BPE") != 0)
        return unsupported(r, "the tokenizer is not byte-level BPE");
    r->list->pre = pretokenizer_from_json(json_object_get(tokenizer, "pre_tokenizer"));
    if (!r->list->pre || json_is_true(json_object_get(model, "byte_fallback")))
        return unsupported(r, "the tokenizer splits text in a way that is not known");
    return STATUS_OK;
}

static bool starts_with_special(const json_t *processor)
{
    const json_t *first = json_array_get(json_object_get(processor, "single"), 0);
    return json_object_get(first, "SpecialToken") != NULL;
}

/* Whether the post-processor puts a token first: a template, alone or in a sequence. */
static bool adds_bos(const json_t *tokenizer)
{
    const json_t *processor = json_object_get(tokenizer, "post_processor");
    const json_t *steps = json_object_get(processor, "processors");
    bool adds = starts_with_special(processor);
    for (size_t i = 0; i < json_array_size(steps); i++)
        adds |= starts_with_special(json_array_get(steps, i));
    return adds;
}

static int32_t find_token(const struct token_list *list, const char *text)
{
    for (uint32_t id = 0; text && id < list->count; id++)
        if (strcmp(list->tokens[id], text) == 0)
            return (int32_t)id;
    return -1;
}

/* "bos_token": "<s>", or {"content": "<s>", ...}. */
static int32_t find_named(const struct token_list *list, const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    const char *text = json_string_value(value);
    return find_token(list, text ? text : json_string_value(json_object_get(value, "content")));
}

static const char *template_text(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *entry = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(entry, "template"));
    }
    return json_string_value(value);
}

static void read_specials(const struct reader *r, const json_t *config)
{
    struct token_list *list = r->list;
    const char *template = template_text(config);
    list->eot = find_token(list, "<|eot_id|>");
    list->eom = find_token(list, "<|eom_id|>");
    list->bos = find_named(list, config, "bos_token");
    list->eos = find_named(list, config, "eos_token");
    list->chat_template = template ? arena_strdup(r->arena, template) : NULL;
}

enum status token_list_from_json(struct token_list *list, struct arena *arena,
                                 const struct tokenizer_json *json, const json_t *config,
                                 const char *path, uint32_t count, struct error *err)
{
    struct reader r = {list, arena, path, err};
    *list = (struct token_list){
        .count = count,
        .tokens = arena_array(arena, count, sizeof *list->tokens),
        .types = arena_array(arena, count, sizeof *list->types),
    };
    if (!list->tokens || !list->types)
        return error_no_memory(err, count * sizeof *list->tokens);
    enum status status = read_kind(&r, json->rest);
    if (!status)
        status = read_tokens(&r, json);
    if (!status)
        status = read_merges(&r, json);
    if (status)
        return status;
    list->add_bos = adds_bos(json->rest);
    read_specials(&r, config);
    return STATUS_OK;
}

/* In newer folders the template is a file of its own. */
static enum status template_from_file(const char **text, struct arena *arena, const char *folder,
                                      struct error *err)
{
    char path[PATH_MAX], *read;
    size_t bytes;
    snprintf(path, sizeof path, "%s/chat_template.jinja", folder);
    if (*text || !path_is_file(path))
        return STATUS_OK;
    enum status status = file_read(path, TOKENIZER_FILE_BYTES, &read, &bytes, err);
    if (!status && !(*text = arena_strdup(arena, read)))
        status = error_no_memory(err, bytes);
    free(read);
    return status;
}

/* tokenizer_config.json, which names the special tokens; NULL when it is not there. */
static enum status config_read(json_t **config, const char *folder, struct error *err)
{
    char path[PATH_MAX];
    *config = NULL;
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    if (path_is_file(path) && !(*config = json_read(path, TOKENIZER_FILE_BYTES, err)))
        return err->status;
    return STATUS_OK;
}

enum status token_list_read_template(const char **text, struct arena *arena, const char *folder,
                                     struct error *err)
{
    json_t *config;
    *text = NULL;
    enum status status = config_read(&config, folder, err);
    const char *found = config ? template_text(config) : NULL;
    if (found && !(*text = arena_strdup(arena, found)))
        status = error_no_memory(err, strlen(found));
    json_decref(config);
    return status ? status : template_from_file(text, arena, folder, err);
}

enum status token_list_from_folder(struct token_list *list, struct arena *arena, const char *folder,
                                   uint32_t count, struct error *err)
{
    char path[PATH_MAX];
    struct tokenizer_json json;
    json_t *config;
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    if (!path_is_file(path)) {
        error_set(err, STATUS_NOT_FOUND, "there is no tokenizer.json");
        return error_where(err, "%s", folder);
    }
    if (config_read(&config, folder, err))
        return err->status;
    enum status status = tokenizer_json_read(&json, arena, path, err);
    if (!status)
        status = token_list_from_json(list, arena, &json, config, path, count, err);
    tokenizer_json_close(&json);
    json_decref(config);
    return status ? status : template_from_file(&list->chat_template, arena, folder, err);
}
