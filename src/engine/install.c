#include "engine/install.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/install_lock.h"
#include "engine/install_work.h"

static void say_wait(void *context)
{
    const struct work *work = context;
    work_say(work, "Another process is installing %s; waiting for it.", work->engine->base);
}

/* Whether what the user brings is of the kind that the engine stands on. */
static enum status kind_check(const struct work *work, struct error *err)
{
    const struct engine_install *install = work->engine->install;
    const struct install_request *request = work->request;
    if (!install) {
        error_set(err, STATUS_USAGE, "%s needs no installation", work->engine->base);
        return error_remedy(err, "It comes with its folder: %s.", work->engine->folder);
    }
    if (request->python && install->build) {
        error_set(err, STATUS_USAGE, "%s is not a Python library", work->engine->base);
        return error_remedy(err, "Name a build of yours with --own.");
    }
    if (request->own && !install->build) {
        error_set(err, STATUS_USAGE, "%s is not built", work->engine->base);
        return error_remedy(err, "Name an interpreter of yours with --python.");
    }
    return STATUS_OK;
}

static enum status version_find(struct work *work, struct error *err)
{
    const struct engine_install *install = work->engine->install;
    const char *name = work->request->version, *known = "";
    if (work->request->python || *work->own) {
        work->name = name ? name : "user";
        return work_name_check(work->name, err);
    }
    for (size_t i = 0; i < install->version_count; i++) {
        const struct engine_version *version = &install->versions[i];
        if (!name || strcmp(version->name, name) == 0) {
            work->version = version;
            work->name = version->name;
            return STATUS_OK;
        }
        known = arena_printf(&work->arena, "%s%s%s", known, i ? ", " : "", version->name);
    }
    error_set(err, STATUS_NOT_FOUND, "there are no requirements for %s %s", work->engine->base,
              name);
    return error_remedy(err, "Versions that can be installed: %s.", known);
}

static enum status places_make(struct work *work, struct error *err)
{
    enum status status =
        installation_folder(work->engine->base, work->name, work->folder, sizeof work->folder, err);
    if (!status)
        status = folder_make(work->folder, err);
    snprintf(work->environment, sizeof work->environment, "%s/environment", work->folder);
    snprintf(work->downloads, sizeof work->downloads, "%s/downloads", work->folder);
    snprintf(work->python, sizeof work->python, "%s/environment/bin/python3", work->folder);
    snprintf(work->empty, sizeof work->empty, "%s/environment/.empty", work->folder);
    snprintf(work->log_path, sizeof work->log_path, "%s/install.log", work->folder);
    return status;
}

/* What of the user's an engine is to stand on that can be built: what was named, or, where no
 * version was, what its script finds. */
static enum status own_find(struct work *work, struct error *err)
{
    const struct install_request *request = work->request;
    if (request->own)
        snprintf(work->own, sizeof work->own, "%s", request->own);
    if (request->own || request->version || !work->engine->install->build)
        return STATUS_OK;
    enum status status = install_built_find(work, err);
    if (!status && *work->own)
        work_say(work, "Taking the build of yours in %s; %s@%s is built by Prony.", work->own,
                 work->engine->base, work->engine->install->versions[0].name);
    return status;
}

static enum status any_install(struct work *work, struct error *err)
{
    enum status status = own_find(work, err);
    if (!status)
        status = version_find(work, err);
    if (!status)
        status = places_make(work, err);
    if (status)
        return status;
    if (work->engine->install->build)
        return install_built(work, err);
    return work->request->python ? install_interpreter(work, err) : install_packages(work, err);
}

enum status engine_install(const struct engine *engine, const struct install_request *request,
                           struct error *err)
{
    struct work work = {.engine = engine, .request = request, .lock_fd = -1};
    enum status status = kind_check(&work, err);
    if (!status)
        status =
            install_lock(engine->base, request->cancel_fd, say_wait, &work, &work.lock_fd, err);
    if (!status)
        status = any_install(&work, err);
    if (work.lock_fd >= 0)
        close(work.lock_fd);
    arena_free(&work.arena);
    return status;
}
