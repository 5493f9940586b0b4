#include "engine/manifest.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { MAX_NAME = 32, MAX_TITLE = 40, MAX_TEXT = 400, MAX_ITEMS = 64, MAX_VARIANTS = 64 };

static const char *const precisions[] = {"float32", "float16", "bfloat16", "mixed", NULL};
static const char *const format_names[] = {"gguf", "safetensors", NULL};
static const char *const device_names[] = {"cpu", "cuda", NULL};
static const char *const quantize_names[] = {"int8", "nf4", "float16", NULL};

static bool one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static const char *words_join(struct arena *arena, const char *const *words)
{
    const char *text = "";
    for (size_t i = 0; words[i] && text; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? ", " : "", words[i]);
    return text ? text : "";
}

/* A key that nobody reads is most likely a misspelt one. */
static enum status keys_check(const json_t *object, const char *const *known, struct arena *arena,
                              struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (one_of(key, known))
            continue;
        error_set(err, STATUS_FORMAT, "unknown key \"%.60s\"", key);
        return error_remedy(err, "Known here: %s.", words_join(arena, known));
    }
    return STATUS_OK;
}

/* Text for a table's cell: not empty, one line, not too long. */
static enum status text_get(const json_t *object, const char *key, size_t limit,
                            struct arena *arena, const char **text, struct error *err)
{
    const char *value;
    enum status status = json_get_string(object, key, &value, err);
    if (status)
        return status;
    size_t length = strlen(value);
    if (length == 0 || length > limit)
        return error_set(err, STATUS_FORMAT, "\"%s\" has %zu bytes; it should have 1 to %zu", key,
                         length, limit);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return error_set(err, STATUS_FORMAT, "\"%s\" has a control character", key);
    *text = arena_strdup(arena, value);
    return *text ? STATUS_OK : error_no_memory(err, length + 1);
}

static enum status name_check(const char *key, const char *name, struct error *err)
{
    bool good = islower((unsigned char)name[0]);
    for (const char *c = name; *c && good; c++)
        good = islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-' || *c == '.';
    if (good)
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "\"%s\" is \"%s\"", key, name);
    return error_remedy(err, "A name begins with a small letter; small letters, digits, - and . "
                             "may follow.");
}

/* A list of strings; each one of words, unless words is NULL. An absent list is empty. */
static enum status list_get(const json_t *object, const char *key, const char *const *words,
                            size_t at_least, struct arena *arena, const char *const **list,
                            struct error *err)
{
    const json_t *array = json_object_get(object, key);
    size_t count = json_array_size(array);
    if ((array && !json_is_array(array)) || count < at_least || count > MAX_ITEMS)
        return error_set(err, STATUS_FORMAT, "\"%s\" should be a list of %zu to %d strings", key,
                         at_least, MAX_ITEMS);
    const char **items = arena_array(arena, count + 1, sizeof *items);
    if (!items)
        return error_no_memory(err, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const char *item = json_string_value(json_array_get(array, i));
        if (!item || !*item)
            return error_set(err, STATUS_FORMAT, "\"%s\" has an entry that is not a string", key);
        if (words && !one_of(item, words)) {
            error_set(err, STATUS_FORMAT, "\"%s\" has \"%.60s\", which nobody knows", key, item);
            return error_remedy(err, "Known here: %s.", words_join(arena, words));
        }
        items[i] = arena_strdup(arena, item);
        if (!items[i])
            return error_no_memory(err, strlen(item));
    }
    *list = items;
    return STATUS_OK;
}

static enum status supports_parse(struct engine_variant *variant, const json_t *object,
                                  struct arena *arena, struct error *err)
{
    static const char *const known[] = {"formats", "devices",  "quantize", "shard",
                                        "logits",  "sampling", "trace",    NULL};
    const json_t *supports = json_object_get(object, "supports");
    if (!json_is_object(supports))
        return error_set(err, STATUS_FORMAT, "\"supports\" should be an object");
    if (keys_check(supports, known, arena, err) ||
        list_get(supports, "formats", format_names, 1, arena, &variant->formats, err) ||
        list_get(supports, "devices", device_names, 1, arena, &variant->devices, err) ||
        list_get(supports, "quantize", quantize_names, 0, arena, &variant->quantize, err) ||
        json_get_bool_or(supports, "shard", false, &variant->shard, err) ||
        json_get_bool_or(supports, "logits", false, &variant->logits, err) ||
        json_get_bool_or(supports, "sampling", false, &variant->sampling, err) ||
        json_get_bool_or(supports, "trace", false, &variant->trace, err))
        return err->status;
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
    return *options ? STATUS_OK : error_no_memory(err, MAX_TEXT);
}

static enum status variant_parse(struct engine_variant *variant, const json_t *object,
                                 const char *engine, struct arena *arena, struct error *err)
{
    static const char *const known[] = {"name",     "title",   "precision", "about",
                                        "supports", "options", "default",   NULL};
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "it is not an object");
    if (keys_check(object, known, arena, err) ||
        text_get(object, "name", MAX_NAME, arena, &variant->name, err) ||
        name_check("name", variant->name, err) ||
        text_get(object, "title", MAX_TITLE, arena, &variant->title, err) ||
        text_get(object, "precision", MAX_NAME, arena, &variant->precision, err) ||
        text_get(object, "about", MAX_TEXT, arena, &variant->about, err) ||
        supports_parse(variant, object, arena, err) ||
        options_get(object, arena, &variant->options, err) ||
        json_get_bool_or(object, "default", true, &variant->by_default, err))
        return err->status;
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
    if (!one_of(variant->precision, precisions)) {
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
    if (keys_check(object, known, arena, err) ||
        text_get(object, "name", MAX_NAME, arena, &engine->name, err) ||
        name_check("name", engine->name, err) ||
        text_get(object, "title", MAX_TITLE, arena, &engine->title, err) ||
        text_get(object, "licence", MAX_TITLE, arena, &engine->licence, err) ||
        text_get(object, "about", MAX_TEXT, arena, &engine->about, err) ||
        list_get(object, "command", NULL, 1, arena, &engine->command, err) ||
        json_get_bool_or(object, "hidden", false, &engine->hidden, err))
        return err->status;
    if (!json_object_get(object, "install"))
        return STATUS_OK;
    return list_get(object, "install", NULL, 1, arena, &engine->install, err);
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
    if (status)
        error_where(err, "%s", path);
    else
        status = variants_parse(engine, object, arena, err);
    json_decref(object);
    return status;
}
