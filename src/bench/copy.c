#include "bench/copy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "base/folder.h"
#include "model/convert.h"

enum status copy_find(struct plan *plan, struct error *err)
{
    char path[PATH_MAX], name[96];
    snprintf(name, sizeof name, "converted/%s", plan->model_hash);
    enum status status = cache_path(path, sizeof path, name, err);
    for (size_t i = 0; i < plan->variant_count && !status; i++) {
        if (!plan->variants[i].copied)
            continue;
        plan->variants[i].copy = arena_strdup(&plan->arena, path);
        if (!plan->variants[i].copy)
            status = error_no_memory(err, sizeof path);
    }
    return status;
}

const char *copy_path(const struct plan *plan)
{
    for (size_t i = 0; i < plan->variant_count; i++)
        if (!plan->variants[i].unavailable && plan->variants[i].copy)
            return plan->variants[i].copy;
    return NULL;
}

/* It gets its name when it is whole. */
bool copy_is_made(const char *path)
{
    return path_is_folder(path);
}

enum status copy_make(const struct plan *plan, const struct weight_progress *progress,
                      struct error *err)
{
    char folder[PATH_MAX], part[PATH_MAX + 8];
    const char *path = copy_path(plan);
    struct error note;
    snprintf(part, sizeof part, "%s.part", path);
    const struct model_output output = {.path = part,
                                        .format = MODEL_SAFETENSORS,
                                        .precision = convert_precision(&plan->model),
                                        .progress = *progress};
    enum status status = cache_folder(folder, sizeof folder, "converted", err);
    if (!status)
        status = folder_remove(part, err);
    if (!status)
        status = model_convert(&plan->model, &output, NULL, &note, err);
    if (!status && rename(part, path) != 0 && errno != EEXIST && errno != ENOTEMPTY)
        status = error_errno(err, "move the converted model to %.300s", path);
    if (status) {
        struct error ignored;
        folder_remove(part, &ignored);
        error_where(err, "%s", path);
    }
    return status;
}

const char *copy_or_model(const struct plan *plan, const struct plan_variant *variant)
{
    return variant->copy ? variant->copy : plan->model_path;
}
