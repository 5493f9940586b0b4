#include "bench/copy.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "model/convert.h"

/* It gets its name when it is whole. */
static bool copy_is_made(const struct plan *plan)
{
    return path_is_folder(plan->copy);
}

enum status copy_find(struct plan *plan, struct error *err)
{
    char path[PATH_MAX], name[96];
    snprintf(name, sizeof name, "converted/%s", plan->model_hash);
    enum status status = cache_path(path, sizeof path, name, err);
    if (status)
        return status;
    plan->copy = arena_strdup(&plan->arena, path);
    return plan->copy ? STATUS_OK : error_no_memory(err, sizeof path);
}

bool copy_is_needed(const struct plan *plan)
{
    bool needed = false;
    for (size_t i = 0; i < plan->variant_count; i++)
        needed = needed || (plan->variants[i].copied && !plan->variants[i].unavailable);
    return needed && !copy_is_made(plan);
}

static enum status convert(const struct plan *plan, const struct weight_progress *progress,
                           struct error *err)
{
    char part[PATH_MAX + 8];
    struct error note;
    snprintf(part, sizeof part, "%s.part", plan->copy);
    const struct model_output output = {.path = part,
                                        .format = MODEL_SAFETENSORS,
                                        .precision = convert_precision(&plan->model),
                                        .progress = *progress};
    enum status status = folder_remove(part, err);
    if (!status)
        status = model_convert(&plan->model, &output, NULL, &note, err);
    if (!status && rename(part, plan->copy) != 0)
        status = error_errno(err, "move the converted model to %.300s", plan->copy);
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
    enum status status = cache_folder(folder, sizeof folder, "converted", err);
    if (status)
        return error_where(err, "%s", plan->copy);
    /* One process makes copies; the others wait for it. */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        status = error_errno(err, "lock %.300s", folder);
    if (!status && !copy_is_made(plan))
        status = convert(plan, progress, err);
    if (fd >= 0)
        close(fd);
    return status ? error_where(err, "%s", plan->copy) : STATUS_OK;
}

const char *copy_or_model(const struct plan *plan, const struct plan_variant *variant)
{
    return variant->copied ? plan->copy : plan->model_path;
}
