#include "hub/name.h"

#include <string.h>

#include "base/suggest.h"
#include "model/gguf/gguf_split.h"

enum { PATH_LIMIT = 512, COMPONENT_LIMIT = 200 };

const struct hub_model hub_models[] = {
    {"llama3-1b", "bartowski/Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-f16.gguf",
     "Llama 3.2 1B Instruct, float16 GGUF"},
    {"llama3-8b", "TriAiExperiments/SFR-Iterative-DPO-LLaMA-3-8B-R", NULL,
     "SFR-Iterative-DPO-LLaMA-3-8B-R, safetensors"},
    {"llama3-70b", "meta-llama/Llama-3.1-70B-Instruct", NULL,
     "Llama 3.1 70B Instruct, safetensors in parts"},
    {"llama3-405b", "meta-llama/Llama-3.1-405B-Instruct", NULL,
     "Llama 3.1 405B Instruct, safetensors in parts"},
    {0},
};

bool hub_path_is_safe(const char *path)
{
    if (strlen(path) > PATH_LIMIT)
        return false;
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\')
            return false;
    for (const char *start = path;; start++) {
        size_t length = strcspn(start, "/");
        if (length == 0 || length > COMPONENT_LIMIT || (length == 1 && start[0] == '.') ||
            (length == 2 && start[0] == '.' && start[1] == '.'))
            return false;
        start += length;
        if (!*start)
            return true;
    }
}

bool hub_path_is_gguf(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

void hub_path_of_model(const char *path, char model[HUB_PATH_BYTES])
{
    snprintf(model, HUB_PATH_BYTES, "%s", path);
    gguf_part_first(model);
}

bool hub_path_is_later_part(const char *path)
{
    uint32_t number, count;
    return gguf_part_name(path, &number, &count) && number > 1;
}

bool hub_path_is_hidden(const char *path)
{
    return path[0] == '.' || strstr(path, "/.") != NULL;
}

/* What hubs allow in the name of an organisation or a repository. */
static bool word_is_good(const char *word, size_t length)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return length >= 1 && length <= 96 && word[0] != '.' && word[0] != '-' &&
           strspn(word, allowed) >= length;
}

static bool repo_is_good(const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);
    return slash && word_is_good(text, (size_t)(slash - text)) &&
           word_is_good(slash + 1, length - (size_t)(slash - text) - 1);
}

static enum status unknown(const char *text, struct error *err)
{
    struct suggestion near = {.word = text};
    for (size_t i = 0; hub_models[i].name; i++)
        suggestion_offer(&near, hub_models[i].name);
    error_set(err, STATUS_USAGE, "'%s' names no model of a hub", text);
    if (near.best)
        return error_remedy(err, "Did you mean '%s'? Other models are written ORG/REPO[:FILE].",
                            near.best);
    return error_remedy(err, "Write ORG/REPO[:FILE], or a name that 'prony model get --help' has.");
}

enum status hub_name_parse(struct hub_name *name, const char *text, struct error *err)
{
    *name = (struct hub_name){0};
    for (size_t i = 0; hub_models[i].name; i++)
        if (strcmp(text, hub_models[i].name) == 0) {
            snprintf(name->repo, sizeof name->repo, "%s", hub_models[i].repo);
            snprintf(name->file, sizeof name->file, "%s",
                     hub_models[i].file ? hub_models[i].file : "");
            return STATUS_OK;
        }
    size_t length = strcspn(text, ":");
    const char *file = text[length] ? text + length + 1 : NULL;
    if (!repo_is_good(text, length))
        return unknown(text, err);
    if (file && (!hub_path_is_safe(file) || hub_path_is_hidden(file))) {
        error_set(err, STATUS_USAGE, "'%s' is no path inside a repository", file);
        return error_remedy(err, "Write it as the hub does, as in folder/model.gguf.");
    }
    snprintf(name->repo, sizeof name->repo, "%.*s", (int)length, text);
    snprintf(name->file, sizeof name->file, "%s", file ? file : "");
    return STATUS_OK;
}
