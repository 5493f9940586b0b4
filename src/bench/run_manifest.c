#include "bench/run_manifest.h"

#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "machine/energy.h"
#include "machine/machine.h"
#include "machine/text.h"

extern char **environ;

/* argv as the kernel keeps it: [words] */
static json_t *command_line(void)
{
    json_t *words = json_array();
    char *text;
    size_t bytes;
    struct error ignored;
    if (file_read("/proc/self/cmdline", 1 << 20, &text, &bytes, &ignored))
        return words;
    for (size_t at = 0; at < bytes; at += strlen(text + at) + 1)
        json_array_append_new(words, json_string(text + at));
    free(text);
    return words;
}

/* Variables that change what engines do. Others stay private. */
static json_t *environment(void)
{
    static const char *const prefixes[] = {"PRONY_",      "OMP_",           "OPENBLAS_", "MKL_",
                                           "KMP_",        "GOMP_",          "MALLOC_",   "CUDA_",
                                           "LD_PRELOAD=", "GLIBC_TUNABLES="};
    json_t *object = json_object();
    for (char **entry = environ; *entry; entry++)
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
            size_t length = strcspn(*entry, "=");
            if (strncmp(*entry, prefixes[i], strlen(prefixes[i])) != 0 || !(*entry)[length])
                continue;
            char *name = strndup(*entry, length);
            if (name)
                json_object_set_new(object, name, json_string(*entry + length + 1));
            free(name);
            break;
        }
    return object;
}

static json_t *program(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "prony", PRONY_VERSION, "compiler", __VERSION__,
                     "sqlite", sqlite3_libversion(), "jansson", jansson_version_str(), "openssl",
                     OpenSSL_version(OPENSSL_VERSION_STRING));
}

static json_t *model_describe(const struct plan *plan)
{
    const struct model *model = &plan->model;
    const struct model_config *config = &model->config;
    return json_pack("{s:s, s:s, s:s*, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "path",
                     plan->model_path, "sha256", plan->model_hash, "name", model->name, "format",
                     model_format_name(model->format), "parameters", (json_int_t)model->parameters,
                     "weight_bytes", (json_int_t)model->weight_bytes, "layers",
                     (json_int_t)config->layers, "hidden_size", (json_int_t)config->hidden_size,
                     "heads", (json_int_t)config->heads, "kv_heads", (json_int_t)config->kv_heads,
                     "vocabulary", (json_int_t)config->vocabulary, "context",
                     (json_int_t)config->context, "tied", config->tied);
}

/* Where energy is counted, or why it is not. */
static json_t *energy_describe(const struct plan *plan)
{
    struct energy *energy;
    struct error err = {0};
    if (energy_open(&energy, text_sysfs(), plan->gpu.pci, &err))
        return json_sprintf("not available: %s%s%s", err.what, *err.remedy ? ". " : "", err.remedy);
    json_t *source = json_string(energy_source(energy));
    energy_close(energy);
    return source;
}

json_t *run_manifest(const struct plan *plan)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "machine", machine_describe(), "energy",
                     energy_describe(plan), "versions", program(), "model", model_describe(plan),
                     "command", command_line(), "environment", environment());
}

static const char *shown(char **text, const json_t *value)
{
    *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    return *text ? *text : "unknown";
}

enum status run_manifest_same(const json_t *stored, const json_t *now, struct error *err)
{
    static const struct {
        const char *title, *path[3];
    } parts[] = {{"the processor", {"machine", "cpu", "model"}},
                 {"the cores that may be used", {"machine", "cpu", "cores_allowed"}},
                 {"the machine's memory", {"machine", "memory", "total_bytes"}},
                 {"Prony's version", {"versions", "prony", NULL}}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const json_t *before = stored, *after = now;
        for (size_t level = 0; level < 3 && parts[i].path[level]; level++) {
            before = json_object_get(before, parts[i].path[level]);
            after = json_object_get(after, parts[i].path[level]);
        }
        if (json_equal(before, after))
            continue;
        char *old_text, *new_text;
        const char *was = shown(&old_text, before), *is = shown(&new_text, after);
        error_set(err, STATUS_USAGE,
                  "the unfinished run was made elsewhere: %s was %.160s, now it is %.160s",
                  parts[i].title, was, is);
        free(old_text);
        free(new_text);
        return error_remedy(err, "Start a new run without --resume.");
    }
    return STATUS_OK;
}
