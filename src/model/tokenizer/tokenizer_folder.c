#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/safetensors/hf_config.h"
#include "model/synthetic.h"
#include "model/tokenizer/token_list.h"
#include "model/tokenizer/tokenizer_parts.h"

static struct token_text *texts_of(struct arena *arena, const char **strings, size_t count)
{
    struct token_text *texts = arena_array(arena, count, sizeof *texts);
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = (struct token_text){strings[i], strlen(strings[i])};
    return texts;
}

static bool is_ranks(const char *file)
{
    return strcmp(path_base(file), "tokenizer.model") == 0;
}

/* Llama 3's tokenizer.model, for the model of config. */
static enum status create_of_ranks(struct tokenizer **tokenizer, const char *path,
                                   const struct model_config *config, struct error *err)
{
    enum status status = tokenizer_open_ranks(tokenizer, path, err);
    if (status != STATUS_OK || tokenizer_vocabulary(*tokenizer) == config->vocabulary)
        return status;
    error_set(err, STATUS_FORMAT, "%u tokens for a model with a vocabulary of %u",
              (unsigned)tokenizer_vocabulary(*tokenizer), (unsigned)config->vocabulary);
    tokenizer_close(*tokenizer);
    *tokenizer = NULL;
    return error_where(err, "%s", path);
}

static enum status create(struct tokenizer **tokenizer, const char *folder, struct arena *arena,
                          struct error *err)
{
    struct model_config config;
    struct token_list list;
    char path[PATH_MAX], json[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/tokenizer.model", folder) >= (int)sizeof path)
        return error_set(err, STATUS_USAGE, "the path is too long");
    snprintf(json, sizeof json, "%s/config.json", folder);
    enum status status = hf_config_read(&config, json, err);
    snprintf(json, sizeof json, "%s/tokenizer.json", folder);
    if (status == STATUS_OK && !path_is_file(json) && path_is_file(path))
        return create_of_ranks(tokenizer, path, &config, err);
    if (status == STATUS_OK)
        status = token_list_from_folder(&list, arena, folder, config.vocabulary, err);
    if (status != STATUS_OK)
        return status;
    const struct tokenizer_parts parts = {.origin = folder,
                                          .pre = list.pre,
                                          .tokens = texts_of(arena, list.tokens, list.count),
                                          .types = list.types,
                                          .token_count = list.count,
                                          .merges = texts_of(arena, list.merges, list.merge_count),
                                          .merge_count = list.merge_count,
                                          .bos = list.bos,
                                          .eos = list.eos,
                                          .adds_bos = &list.add_bos};
    if (!parts.tokens || !parts.merges)
        return error_no_memory(err, list.count * sizeof *parts.tokens);
    return tokenizer_create(tokenizer, &parts, err);
}

enum status tokenizer_open_folder(struct tokenizer **tokenizer, const char *folder,
                                  struct error *err)
{
    struct arena arena = {0};
    *tokenizer = NULL;
    enum status status = create(tokenizer, folder, &arena, err);
    arena_free(&arena);
    return status;
}

bool tokenizer_is_beside(const char *file)
{
    static const char suffix[] = ".safetensors";
    size_t bytes = strlen(file);
    return is_ranks(file) ||
           (bytes >= sizeof suffix && strcmp(file + bytes - strlen(suffix), suffix) == 0);
}

enum status tokenizer_open(struct tokenizer **tokenizer, const char *path, struct error *err)
{
    char found[PATH_MAX], folder[PATH_MAX];
    *tokenizer = NULL;
    enum status status = model_locate(path, found, sizeof found, err);
    if (status != STATUS_OK)
        return status;
    if (synthetic_is_name(found))
        return synthetic_has_no_tokenizer(found, err);
    if (path_is_folder(found))
        return tokenizer_open_folder(tokenizer, found, err);
    if (is_ranks(found))
        return tokenizer_open_ranks(tokenizer, found, err);
    if (!tokenizer_is_beside(found))
        return tokenizer_open_gguf(tokenizer, found, err);
    folder_of(found, folder);
    return tokenizer_open_folder(tokenizer, folder, err);
}
