#include "engine/manifest.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/manifest_values.h"

enum { MAX_VARIANTS = 64 };

static const char *const precisions[] = {"float32", "float16", "bfloat16", "mixed", NULL};
static const char *const format_names[] = {"gguf", "gguf-parts", "safetensors", "synthetic", NULL};
static const char *const device_names[] = {"cpu", "cuda", NULL};
static const char *const quantize_names[] = {"int8", "nf4", "float16", "q8_0", NULL};

static enum status supports_parse(struct engine_variant *variant, const json_t *object,
                                  struct arena *arena, struct error *err)
{
    static const char *const known[] = {"formats",
                                        "devices",
                                        "quantize",
                                        "quantize_devices",
                                        "quantize_sharded",
                                        "shard",
                                        "logits",
                                        "sampling",
                                        "trace",
                                        "text",
                                        NULL};
    const json_t *supports = json_object_get(object, "supports");
    if (!json_is_object(supports))
        return error_set(err, STATUS_FORMAT, "\"supports\" should be an object");
    if (manifest_keys(supports, known, arena, err) ||
        manifest_list(supports, "formats", format_names, 1, arena, &variant->formats, err) ||
        manifest_list(supports, "devices", device_names, 1, arena, &variant->devices, err) ||
        manifest_list(supports, "quantize", quantize_names, 0, arena, &variant->quantize, err) ||
        manifest_list(supports, "quantize_devices", device_names, 0, arena,
                      &variant->quantize_devices, err) ||
        manifest_list(supports, "shard", device_names, 0, arena, &variant->shard, err) ||
        json_get_bool_or(supports, "quantize_sharded", false, &variant->quantize_sharded, err) ||
        json_get_bool_or(supports, "logits", false, &variant->logits, err) ||
        json_get_bool_or(supports, "sampling", false, &variant->sampling, err) ||
        json_get_bool_or(supports, "trace", false, &variant->trace, err) ||
        json_get_bool_or(supports, "text", false, &variant->text, err))
        return err->status;
    if (!*variant->quantize_devices)
        variant->quantize_devices = variant->devices;
    return STATUS_OK;
}

static enum status options_get(const json_t *object, struct arena *arena, const char **options,
                               struct error *err)
{
    const json_t *member = json_object_get(object, "options");
    *options = "{}";
    if (!member)
        return STATUS_OK;
    if (!json_is_object(member))
        return error_set(err, STATUS_FORMAT, "\"options\" should be an object");
    char *text = json_dumps(member, JSON_COMPACT);
    *options = text ? arena_strdup(arena, text) : NULL;
    free(text);
    return *options ? STATUS_OK : error_no_memory(err, MANIFEST_TEXT);
}

static enum status variant_parse(struct engine_variant *variant, const json_t *object,
                                 const char *engine, struct arena *arena, struct error *err)
{
    static const char *const known[] = {
        "name",    "title",    "precision",       "about",  "supports", "options",
        "default", "compiled", "default_context", "memory", NULL};
    int64_t context = 0;
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "it is not an object");
    if (manifest_keys(object, known, arena, err) ||
        manifest_text(object, "name", MANIFEST_NAME, arena, &variant->name, err) ||
        manifest_name("name", variant->name, err) ||
        manifest_text(object, "title", MANIFEST_TITLE, arena, &variant->title, err) ||
        manifest_text(object, "precision", MANIFEST_NAME, arena, &variant->precision, err) ||
        manifest_text(object, "about", MANIFEST_TEXT, arena, &variant->about, err) ||
        supports_parse(variant, object, arena, err) ||
        options_get(object, arena, &variant->options, err) ||
        json_get_bool_or(object, "default", true, &variant->by_default, err) ||
        json_get_bool_or(object, "compiled", false, &variant->compiled, err) ||
        json_get_int_or(object, "default_context", 0, UINT32_MAX, 0, &context, err) ||
        manifest_memory_parse(json_object_get(object, "memory"), &variant->memory, err))
        return err->status;
    variant->context = (uint32_t)context;
    variant->own_name = variant->name;
    size_t length = strlen(engine);
    if (strncmp(variant->name, engine, length) != 0 ||
        (variant->name[length] != '\0' && variant->name[length] != '-')) {
        error_set(err, STATUS_FORMAT, "the variant \"%s\" is not named after its engine",
                  variant->name);
        return error_remedy(err,
                            "Call it %s or %s-SOMETHING: variants are named on the command "
                            "line without their engine.",
                            engine, engine);
    }
    if (!words_have(variant->precision, precisions)) {
        error_set(err, STATUS_FORMAT, "\"precision\" is \"%s\"", variant->precision);
        return error_remedy(err, "Known here: %s.", words_join(arena, precisions));
    }
    return STATUS_OK;
}

static enum status variants_parse(struct engine *engine, const json_t *object, struct arena *arena,
                                  struct error *err)
{
    const json_t *array = json_object_get(object, "variants");
    size_t count = json_array_size(array);
    if (count < 1 || count > MAX_VARIANTS) {
        error_set(err, STATUS_FORMAT, "\"variants\" should be a list of 1 to %d objects",
                  MAX_VARIANTS);
        return error_where(err, "%s/engine.json", engine->folder);
    }
    engine->variants = arena_array(arena, count, sizeof *engine->variants);
    if (!engine->variants)
        return error_no_memory(err, count * sizeof *engine->variants);
    for (size_t i = 0; i < count; i++) {
        struct engine_variant *variant = &engine->variants[i];
        enum status status =
            variant_parse(variant, json_array_get(array, i), engine->name, arena, err);
        for (size_t j = 0; j < i && !status; j++)
            if (strcmp(engine->variants[j].name, variant->name) == 0)
                status = error_set(err, STATUS_FORMAT, "\"%s\" is there twice", variant->name);
        if (status)
            return error_where(err, "%s/engine.json, variant %zu", engine->folder, i + 1);
    }
    engine->variant_count = count;
    return STATUS_OK;
}

static enum status engine_parse(struct engine *engine, const json_t *object, struct arena *arena,
                                struct error *err)
{
    static const char *const known[] = {"name",    "title",  "licence",  "about", "command",
                                        "install", "hidden", "variants", NULL};
    if (manifest_keys(object, known, arena, err) ||
        manifest_text(object, "name", MANIFEST_NAME, arena, &engine->name, err) ||
        manifest_name("name", engine->name, err) ||
        manifest_text(object, "title", MANIFEST_TITLE, arena, &engine->title, err) ||
        manifest_text(object, "licence", MANIFEST_TITLE, arena, &engine->licence, err) ||
        manifest_text(object, "about", MANIFEST_TEXT, arena, &engine->about, err) ||
        manifest_list(object, "command", NULL, 1, arena, &engine->command, err) ||
        json_get_bool_or(object, "hidden", false, &engine->hidden, err))
        return err->status;
    engine->base = engine->name;
    const json_t *install = json_object_get(object, "install");
    if (install && manifest_install_parse(install, arena, &engine->install, err))
        return err->status;
    bool built = engine->install && engine->install->build;
    for (const char *const *word = engine->command; *word; word++) {
        if (strcmp(*word, "{python}") == 0 && (!install || built)) {
            error_set(err, STATUS_FORMAT, "\"command\" has {python}, and no packages are named");
            return error_remedy(err, "Say in \"install\" what it needs, or name an interpreter.");
        }
        if (strstr(*word, "{built}") && !built) {
            error_set(err, STATUS_FORMAT, "\"command\" has {built}, and nothing is built");
            return error_remedy(err, "Name in \"install\" the \"build\" script.");
        }
    }
    return STATUS_OK;
}

enum status engine_manifest_parse(struct engine *engine, const char *folder, const char *text,
                                  size_t bytes, struct arena *arena, struct error *err)
{
    *engine = (struct engine){.folder = arena_strdup(arena, folder)};
    char *path = arena_printf(arena, "%s/engine.json", folder);
    if (!path || !engine->folder)
        return error_no_memory(err, strlen(folder));
    json_t *object = json_parse(text, bytes, path, err);
    if (!object)
        return err->status;
    enum status status = engine_parse(engine, object, arena, err);
    if (status) {
        char part[64];
        snprintf(part, sizeof part, "%.60s", err->where);
        error_where(err, "%s%s%s", path, *part ? ", " : "", part);
    } else {
        status = variants_parse(engine, object, arena, err);
    }
    json_decref(object);
    return status;
}
