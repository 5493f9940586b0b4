#include "talk/variant.h"

#include <string.h>

#include "base/suggest.h"

enum status variant_choose(const struct engine_catalogue *catalogue, const char *name,
                           const struct engine **engine, const struct engine_variant **variant,
                           struct error *err)
{
    struct suggestion near = {.word = name};
    *variant = engine_variant_find(catalogue, name, engine);
    if (*variant)
        return STATUS_OK;
    *engine = engine_find(catalogue, name);
    if (*engine && (*engine)->variant_count > 0) {
        *variant = &(*engine)->variants[0];
        return STATUS_OK;
    }
    for (size_t i = 0; i < catalogue->count; i++)
        for (size_t v = 0; v < catalogue->engines[i].variant_count; v++)
            suggestion_offer(&near, catalogue->engines[i].variants[v].name);
    error_set(err, STATUS_NOT_FOUND, "there is no engine or variant '%s'", name);
    if (near.best)
        return error_remedy(err, "Did you mean '%s'?", near.best);
    return error_remedy(err, "'prony engines' lists those that are there.");
}

static bool has(const char *const *list, const char *word, size_t length)
{
    for (; list && *list; list++)
        if (strlen(*list) == length && strncmp(*list, word, length) == 0)
            return true;
    return false;
}

enum status variant_check(const struct engine_variant *variant, const struct model *model,
                          const char *device, bool samples, struct error *err)
{
    const char *format = model->format == MODEL_GGUF ? "gguf" : "safetensors";
    if (!has(variant->devices, device, strcspn(device, ":"))) {
        error_set(err, STATUS_UNSUPPORTED, "%s does not run on device %s", variant->name, device);
        return error_remedy(err, "'prony engines' tells which devices an engine has.");
    }
    if (!has(variant->formats, format, strlen(format))) {
        error_set(err, STATUS_UNSUPPORTED, "%s does not read %s", variant->name, format);
        error_where(err, "%s", model->path);
        return error_remedy(err, "Convert it: prony model convert.");
    }
    if (samples && !variant->sampling) {
        error_set(err, STATUS_UNSUPPORTED, "%s cannot sample", variant->name);
        return error_remedy(err, "Use --temperature 0.");
    }
    return STATUS_OK;
}
