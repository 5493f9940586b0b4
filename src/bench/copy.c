#include "bench/copy.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

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

static enum status convert(const struct plan *plan, const char *path,
                           const struct weight_progress *progress, struct error *err)
{
    char part[PATH_MAX + 8];
    struct error note;
    snprintf(part, sizeof part, "%s.part", path);
    const struct model_output output = {.path = part,
                                        .format = MODEL_SAFETENSORS,
                                        .precision = convert_precision(&plan->model),
                                        .progress = *progress};
    enum status status = folder_remove(part, err);
    if (!status)
        status = model_convert(&plan->model, &output, NULL, &note, err);
    if (!status && rename(part, path) != 0)
        status = error_errno(err, "move the converted model to %.300s", path);
    if (status) {
        struct error ignored;
        folder_remove(part, &ignored);
    }
    return status;
}

enum status copy_make(const struct plan *plan, const struct weight_progress *progress,
                      struct error *err)
{
    char folder[PATH_MAX];
    const char *path = copy_path(plan);
    enum status status = cache_folder(folder, sizeof folder, "converted", err);
    if (status)
        return error_where(err, "%s", path);
    /* One process makes copies; the others wait for it. */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = error_errno(err, "lock %.300s", folder);
    if (!status && !copy_is_made(path))
        status = convert(plan, path, progress, err);
    if (fd >= 0)
        close(fd);
    return status ? error_where(err, "%s", path) : STATUS_OK;
}

const char *copy_or_model(const struct plan *plan, const struct plan_variant *variant)
{
    return variant->copy ? variant->copy : plan->model_path;
}
