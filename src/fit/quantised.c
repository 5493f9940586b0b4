#include "fit/quantised.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/supports.h"
#include "fit/need.h"

enum { HEAD_BYTES = 32 << 20 }; /* a vocabulary, and what else precedes the weights */

bool quantised_is_made(const char *path)
{
    return access(path, F_OK) == 0;
}

static enum status space_check(const char *folder, const struct engine_form *form,
                               const struct model *model, struct error *err)
{
    const struct engine_memory held = {.copies = 1};
    const struct need_request request = {
        .config = &model->config, .memory = &held, .quantize = form->quantize, .shard = 1};
    uint64_t needed = need_of(&request).weights + HEAD_BYTES, there;
    enum status status = disk_free_bytes(folder, &there, err);
    if (status || needed <= there)
        return status;
    error_set(err, STATUS_IO,
              "not enough disk space for the model as %s: %.1f MB are needed and %.1f MB are free",
              form->quantize, (double)needed / 1e6, (double)there / 1e6);
    error_where(err, "%s", folder);
    return error_remedy(err, "Free some, or set PRONY_CACHE to a folder on another disk.");
}

enum status quantised_path(char path[PATH_MAX], const struct engine *engine,
                           const struct engine_variant *variant, const struct engine_form *form,
                           const struct model *model, struct error *err)
{
    char hash[65];
    *path = '\0';
    if (!form_is_kept(form) || !supports_word(variant->quantize, form->quantize))
        return STATUS_OK;
    if (!engine->cache) {
        error_set(err, STATUS_IO, "%s has no folder to keep a quantised model in", engine->name);
        return error_remedy(err, "Set PRONY_CACHE to a folder that may be written.");
    }
    if (model_hash(model, hash, err))
        return err->status;
    if (snprintf(path, PATH_MAX, "%s/%s-%s.gguf", engine->cache, form->quantize, hash) >= PATH_MAX)
        return error_set(err, STATUS_IO, "the path of the cache folder is too long");
    return quantised_is_made(path) ? STATUS_OK : space_check(engine->cache, form, model, err);
}
