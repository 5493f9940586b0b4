#include "engine/install.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "engine/installation.h"
#include "engine/tool.h"

static const struct engine_version *version_find(const struct engine *engine, const char *name)
{
    const struct engine_install *install = engine->install;
    for (size_t i = 0; i < install->version_count; i++)
        if (!name || strcmp(install->versions[i].name, name) == 0)
            return &install->versions[i];
    return NULL;
}

static enum status no_version(const struct engine *engine, const char *name, struct error *err)
{
    char known[200] = "";
    for (size_t i = 0; i < engine->install->version_count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                 engine->install->versions[i].name);
    }
    error_set(err, STATUS_NOT_FOUND, "Prony has no requirements for %s %s", engine->name, name);
    return error_remedy(err, "It has them for: %s.", known);
}

/* Makes the environment and fills it. */
static enum status environment_make(const struct engine *engine,
                                    const struct engine_version *version, const char *folder,
                                    const struct install_request *request, struct error *err)
{
    char log[PATH_MAX + 32], environment[PATH_MAX + 32], python[PATH_MAX + 32];
    char requirements[PATH_MAX];
    snprintf(log, sizeof log, "%s/install.log", folder);
    snprintf(environment, sizeof environment, "%s/environment", folder);
    snprintf(python, sizeof python, "%s/environment/bin/python3", folder);
    snprintf(requirements, sizeof requirements, "%s/%s", engine->folder,
             version->full.requirements);
    struct tool tool = {.folder = folder, .log_path = log, .cancel_fd = request->cancel_fd};
    const char *const venv[] = {"python3", "-I", "-m", "venv", "--clear", environment, NULL};
    const char *const pip[] = {python,
                               "-I",
                               "-m",
                               "pip",
                               "install",
                               "--disable-pip-version-check",
                               "--no-deps",
                               "--require-hashes",
                               "--only-binary",
                               ":all:",
                               "--requirement",
                               requirements,
                               NULL};
    static const char *const clean[] = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", NULL};
    request->say(request->context, "Making the environment.");
    enum status status = tool_run(&tool, venv, NULL, err);
    if (status)
        return status;
    request->say(request->context, "Downloading and installing the packages.");
    status = tool_run(&tool, pip, clean, err);
    return status ? status : installation_stamp(engine->name, version->name, python, err);
}

enum status engine_install(const struct engine *engine, const struct install_request *request,
                           struct error *err)
{
    char folder[PATH_MAX];
    if (!engine->install) {
        error_set(err, STATUS_USAGE, "%s needs no installation", engine->name);
        return error_remedy(err, "It comes with its folder: %s.", engine->folder);
    }
    const struct engine_version *version = version_find(engine, request->version);
    if (!version)
        return no_version(engine, request->version, err);
    enum status status =
        installation_folder(engine->name, version->name, folder, sizeof folder, err);
    if (!status)
        status = folder_make(folder, err);
    return status ? status : environment_make(engine, version, folder, request, err);
}
