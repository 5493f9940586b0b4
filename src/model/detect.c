#include "model/detect.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/json.h"
#include "model/gguf/gguf.h"
#include "model/model.h"
#include "model/printable.h"
#include "model/safetensors/hf_config.h"
#include "model/synthetic.h"

enum { FAMILY_BYTES = 64 };

static const char *const type_names[] = {
    [MODEL_TYPE_UNKNOWN] = "unknown", [MODEL_TYPE_LLAMA] = "llama", [MODEL_TYPE_GPT] = "gpt"};

const char *model_type_name(enum model_type type)
{
    return type_names[type];
}

enum model_type model_type_parse(const char *name)
{
    for (int type = MODEL_TYPE_LLAMA; type <= MODEL_TYPE_GPT; type++)
        if (strcmp(name, type_names[type]) == 0)
            return type;
    return MODEL_TYPE_UNKNOWN;
}

/* gpt2, gptneox, gpt_neo and gptj are one family to who asks for one. */
static enum model_type type_of_family(const char *family)
{
    if (strcmp(family, "llama") == 0)
        return MODEL_TYPE_LLAMA;
    return strncmp(family, "gpt", 3) == 0 ? MODEL_TYPE_GPT : MODEL_TYPE_UNKNOWN;
}

/* general.architecture of a GGUF file; empty when the file does not say. */
static void ask_gguf(const char *path, char family[FAMILY_BYTES])
{
    struct gguf gguf;
    struct error ignored;
    struct gguf_string name;
    if (gguf_open(&gguf, path, &ignored))
        return;
    if (gguf_get_string(&gguf, "general.architecture", &name, &ignored) == STATUS_OK)
        printable(family, FAMILY_BYTES, name.data, name.bytes);
    gguf_close(&gguf);
}

/* model_type of a config.json; empty when it does not say. */
static void ask_config(const char *path, char family[FAMILY_BYTES])
{
    struct error ignored;
    const char *name;
    json_t *json = json_read(path, HF_CONFIG_MAX_BYTES, &ignored);
    if (json && json_get_string(json, "model_type", &name, &ignored) == STATUS_OK)
        printable(family, FAMILY_BYTES, name, strlen(name));
    json_decref(json);
}

static enum model_type type_of_name(const char *name)
{
    static const char *const llama[] = {"llama", ".gguf", "tokenizer.model", "consolidated",
                                        "model.safetensors"};
    static const char *const gpt[] = {"gpt", "vocab.bpe", "encoder.json", "pytorch_model"};
    for (size_t i = 0; i < sizeof llama / sizeof *llama; i++)
        if (strcasestr(name, llama[i]))
            return MODEL_TYPE_LLAMA;
    for (size_t i = 0; i < sizeof gpt / sizeof *gpt; i++)
        if (strcasestr(name, gpt[i]))
            return MODEL_TYPE_GPT;
    return MODEL_TYPE_UNKNOWN;
}

/* By the name of the file or folder itself, then by those of the folder's files, of which one
 * that means llama decides. */
static enum model_type type_of_names(const char *path)
{
    char real[PATH_MAX];
    enum model_type type = type_of_name(path_base(path_resolve(path, real) ? real : path));
    DIR *folder = type == MODEL_TYPE_UNKNOWN && path_is_folder(path) ? opendir(path) : NULL;
    if (!folder)
        return type;
    for (struct dirent *entry; type != MODEL_TYPE_LLAMA && (entry = readdir(folder));) {
        enum model_type other = type_of_name(entry->d_name);
        if (other != MODEL_TYPE_UNKNOWN)
            type = other;
    }
    closedir(folder);
    return type;
}

/* The type, and the family's name as the file gives it where it is neither llama nor gpt. */
static enum status detect(const char *path, enum model_type *type, char family[FAMILY_BYTES],
                          struct error *err)
{
    char found[PATH_MAX], config[PATH_MAX + 16];
    enum status status = model_locate(path, found, sizeof found, err);
    if (status && (!path_is_folder(path) || status == STATUS_USAGE || status == STATUS_IO))
        return status;
    family[0] = '\0';
    if (!status && synthetic_is_name(found)) {
        *type = MODEL_TYPE_LLAMA;
        return STATUS_OK;
    }
    if (status) /* a folder that holds no model we read, and may be named or described */
        snprintf(found, sizeof found, "%s", path);
    bool folder = path_is_folder(found);
    size_t folder_bytes = folder ? strlen(found) : (size_t)(path_base(found) - found);
    snprintf(config, sizeof config, "%.*s%sconfig.json", (int)folder_bytes, found,
             folder ? "/" : "");
    if (!folder)
        ask_gguf(found, family);
    if (!family[0])
        ask_config(config, family);
    *type = family[0] ? type_of_family(family) : type_of_names(path);
    if (*type == MODEL_TYPE_UNKNOWN && !family[0]) {
        if (status)
            return status;
        snprintf(family, FAMILY_BYTES, "%s", type_names[MODEL_TYPE_UNKNOWN]);
    }
    return STATUS_OK;
}

enum status model_detect(const char *path, enum model_type *type, struct error *err)
{
    char family[FAMILY_BYTES];
    return detect(path, type, family, err);
}

enum status model_check_type(const char *path, enum model_type expected, struct error *err)
{
    enum model_type type;
    char family[FAMILY_BYTES];
    enum status status = detect(path, &type, family, err);
    if (status || type == expected)
        return status;
    return error_set(err, STATUS_USAGE, "Model type mismatch: Expected '%s' but detected '%s'",
                     model_type_name(expected),
                     type == MODEL_TYPE_UNKNOWN ? family : model_type_name(type));
}
