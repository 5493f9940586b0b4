#include "engine/uninstall.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/folder.h"
#include "engine/install_lock.h"
#include "engine/installation.h"

/* The stamp goes first: from then on the version is not installed, wherever this ends. */
static enum status version_remove(const char *name, const char *version, uint64_t *bytes,
                                  struct error *err)
{
    char folder[PATH_MAX], cache[PATH_MAX];
    enum status status = installation_folder(name, version, folder, sizeof folder, err);
    if (!status)
        status = installation_cache(name, version, cache, sizeof cache, err);
    if (status)
        return status;
    *bytes += folder_bytes(folder) + folder_bytes(cache);
    status = installation_forget(name, version, err);
    if (!status)
        status = folder_remove(folder, err);
    return status ? status : folder_remove(cache, err);
}

static enum status nothing_there(const char *name, const char *version, struct error *err)
{
    error_set(err, STATUS_NOT_FOUND, "%s%s%s is not installed", name, version ? "@" : "",
              version ? version : "");
    return error_remedy(err, "'prony engines doctor' tells what is.");
}

enum status engine_uninstall(const struct engine *engine, const char *version, int cancel_fd,
                             void (*waiting)(void *context), void *context, uint64_t *bytes,
                             struct error *err)
{
    const char *const *versions;
    struct arena arena = {0};
    bool found = false;
    int lock_fd;
    *bytes = 0;
    enum status status = install_lock(engine->base, cancel_fd, waiting, context, &lock_fd, err);
    if (!status)
        status = installation_list(engine->base, &arena, &versions, err);
    for (; !status && *versions; versions++)
        if (!version || strcmp(version, *versions) == 0) {
            found = true;
            status = version_remove(engine->base, *versions, bytes, err);
        }
    if (!status && !found)
        status = nothing_there(engine->base, version, err);
    if (lock_fd >= 0)
        close(lock_fd);
    arena_free(&arena);
    return status;
}
