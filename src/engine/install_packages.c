/* Installs an engine that is a Python library: packages into an environment of its own, or no more
 * than the name of an interpreter of the user's. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "engine/install_work.h"
#include "engine/interpreter.h"
#include "engine/packages.h"

enum { ROOM = PATH_MAX + 64, MAX_REQUIREMENTS = 1 << 20 };

/* Nothing is put into it. */
enum status install_interpreter(struct work *work, struct error *err)
{
    char absolute[PATH_MAX];
    struct worker_hello hello;
    /* Not realpath(): an environment's interpreter is a link, and is known by where it is. */
    const char *given = work->request->python, *slash = strrchr(given, '/');
    char *folder = slash ? arena_strndup(&work->arena, given, (size_t)(slash - given) + 1) : NULL;
    if (!folder || !realpath(folder, absolute) || access(given, X_OK) != 0) {
        error_set(err, STATUS_NOT_FOUND, "there is no interpreter '%s'", given);
        return error_remedy(err, "Give its path, such as ~/venv/bin/python.");
    }
    struct installation installation = {.version = work->name,
                                        .build = "user",
                                        .python =
                                            arena_printf(&work->arena, "%s%s", absolute, slash),
                                        .requirements = ""};
    if (!installation.python)
        return error_no_memory(err, strlen(absolute));
    enum status status = work_greet(work, &installation, &hello, err);
    if (status) {
        if (status != STATUS_INTERRUPTED)
            error_remedy(err, "Install what is missing into that interpreter's environment, or "
                              "leave --python out.");
        rmdir(work->folder);
        return status;
    }
    work_say(work, "%s has %s %s %s.", installation.python, hello.engine, hello.version,
             hello.stands_on);
    return installation_write(work->folder, work->engine->base, &installation, err);
}

static const char *requirements_text(struct work *work, const struct engine_build *build,
                                     char *path, size_t size)
{
    char *text;
    size_t bytes;
    struct error ignored;
    snprintf(path, size, "%s/%s", work->engine->folder, build->requirements);
    if (file_read(path, MAX_REQUIREMENTS, &text, &bytes, &ignored))
        return "";
    const char *kept = arena_strdup(&work->arena, text);
    free(text);
    return kept ? kept : "";
}

/* Whether the version is there, made from the same requirements, and works. */
static bool is_ready(struct work *work)
{
    struct installation there;
    struct worker_hello hello;
    struct error err;
    char path[ROOM];
    if (!installation_read(work->engine->base, work->name, &work->arena, &there))
        return false;
    bool cpu = strcmp(there.build, "cpu") == 0;
    const struct engine_build *build = cpu ? &work->version->cpu : &work->version->full;
    if ((cpu && work->request->gpu) || !build->requirements) {
        work_say(work, "What is installed has no support for this machine's GPU; making it anew.");
        return false;
    }
    if (strcmp(there.requirements, requirements_text(work, build, path, sizeof path)) != 0) {
        work_say(work, "It was made from other requirements; making it anew.");
        return false;
    }
    if (work_greet(work, &there, &hello, &err)) {
        work_say(work, "What is installed does not work, and is made anew: %s (%s)", err.what,
                 err.where);
        return false;
    }
    work_say(work, "%s %s is there already, and works.", work->engine->base, work->name);
    return true;
}

static enum status space_check(const struct work *work, const struct engine_build *build,
                               struct error *err)
{
    return work_space_check(work, build->download_bytes + build->disk_bytes, err);
}

/* An environment that is there and empty, from an installation that was cut, serves again. */
static bool environment_is_empty(const struct work *work)
{
    return path_is_file(work->empty) && access(work->python, X_OK) == 0;
}

static enum status environment_make(struct work *work, struct error *err)
{
    char base[PATH_MAX];
    FILE *mark;
    struct tool tool = {
        .folder = work->folder, .log_path = work->log_path, .cancel_fd = work->request->cancel_fd};
    enum status status = folder_make(work->downloads, err);
    if (status || environment_is_empty(work))
        return status;
    status = interpreter_find(work->engine->install, &tool, base, sizeof base, err);
    if (!status)
        status = folder_remove(work->environment, err);
    if (status)
        return status;
    work_say(work, "Making an environment with %s.", base);
    const char *const argv[] = {base, "-I", "-m", "venv", work->environment, NULL};
    status = tool_run(&tool, argv, NULL, err);
    if (!status && (!(mark = fopen(work->empty, "we")) || fclose(mark) != 0))
        status = error_errno(err, "write %.300s", work->empty);
    return status;
}

/* One build, from its requirements file to the stamp. */
static enum status build_install(struct work *work, const struct engine_build *build,
                                 const char *title, struct error *err)
{
    char path[ROOM];
    struct requirement *list;
    struct packages packages = {.folder = work->folder,
                                .python = work->python,
                                .environment = work->environment,
                                .downloads = work->downloads,
                                .log_path = work->log_path,
                                .download_bytes = build->download_bytes,
                                .disk_bytes = build->disk_bytes,
                                .cancel_fd = work->request->cancel_fd,
                                .progress = work->request->progress,
                                .context = work->request->context};
    struct installation installation = {.version = work->name,
                                        .build = title,
                                        .python = work->python,
                                        .requirements =
                                            requirements_text(work, build, path, sizeof path)};
    struct worker_hello hello;
    enum status status = requirements_read(path, &work->arena, &list, &packages.count, err);
    packages.list = list;
    for (size_t i = 0; i < packages.count && !status; i++)
        if (!list[i].hashed && build == &work->version->full) {
            error_set(err, STATUS_FORMAT, "%s has no hash", list[i].name);
            status = error_where(err, "%s", path);
        }
    if (!status)
        status = space_check(work, build, err);
    if (!status)
        status = packages_download(&packages, err);
    if (!status && unlink(work->empty) != 0)
        status = error_errno(err, "remove %.300s", work->empty);
    if (!status)
        status = packages_install(&packages, err);
    if (!status)
        status = work_greet(work, &installation, &hello, err);
    if (status)
        return status;
    work_say(work, "It works: %s %s %s.", hello.engine, hello.version, hello.stands_on);
    status = work_flush(work, err);
    return status ? status
                  : installation_write(work->folder, work->engine->base, &installation, err);
}

static void sizes_say(const struct work *work, const struct engine_build *build, const char *title)
{
    work_say(work, "%s %s%s: %.0f MB to download, %.0f MB on disk, in %s", work->engine->base,
             work->name, title, (double)build->download_bytes / 1e6,
             (double)build->disk_bytes / 1e6, work->folder);
}

enum status install_packages(struct work *work, struct error *err)
{
    const struct engine_build *full = &work->version->full, *cpu = &work->version->cpu;
    bool small = cpu->requirements && !work->request->gpu;
    struct error ignored;
    if (is_ready(work))
        return STATUS_OK;
    enum status status = installation_forget(work->engine->base, work->name, err);
    if (small)
        sizes_say(work, cpu, " for a machine without a GPU");
    sizes_say(work, full, small ? ", where pip's indexes do not have that" : "");
    if (!status)
        status = space_check(work, small ? cpu : full, err);
    if (!status)
        status = environment_make(work, err);
    if (!status && small) {
        status = build_install(work, cpu, "cpu", err);
        small = status != STATUS_NOT_FOUND;
        if (!small) {
            work_say(work,
                     "The build for a machine without a GPU is not to be had (%s); taking the "
                     "full one.",
                     err->where);
            status = STATUS_OK;
        }
    }
    if (!status && !small)
        status = build_install(work, full, "full", err);
    if (!status)
        folder_remove(work->downloads, &ignored);
    return status;
}
