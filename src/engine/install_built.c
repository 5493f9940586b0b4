/* Installs an engine that its folder's script builds. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cores.h"
#include "base/file.h"
#include "base/folder.h"
#include "engine/build_script.h"
#include "engine/install_work.h"
#include "engine/presence.h"
#include "engine/recipe.h"

enum { ROOM = PATH_MAX + 64 };

/* The folders of a build. All are in that of the version, so that what is whole can be renamed. */
struct places {
    char work[ROOM]; /* removed at the end, and before a build begins */
    char scratch[ROOM], to[ROOM], replaced[ROOM];
    char built[PATH_MAX]; /* where it goes in the end */
};

static enum status places_find(const struct work *work, struct places *places, struct error *err)
{
    snprintf(places->work, ROOM, "%s/work", work->folder);
    snprintf(places->scratch, ROOM, "%s/work/scratch", work->folder);
    snprintf(places->to, ROOM, "%s/work/to", work->folder);
    snprintf(places->replaced, ROOM, "%s/work/replaced", work->folder);
    return installation_built(work->engine->base, work->name, places->built, sizeof places->built,
                              err);
}

static bool is_ready(struct work *work, const char *recipe)
{
    struct installation there;
    struct worker_hello hello;
    struct error err;
    if (!installation_read(work->engine->base, work->name, &work->arena, &there) || !there.built)
        return false;
    if (strcmp(there.requirements, recipe) != 0) {
        work_say(work, "It was built in another way; building it anew.");
        return false;
    }
    if (work_greet(work, &there, &hello, &err)) {
        work_say(work, "What is installed does not work, and is built anew: %s (%s)", err.what,
                 err.where);
        return false;
    }
    work_say(work, "%s %s is there already, and works.", work->engine->base, work->name);
    return true;
}

static enum status programs_check(const struct work *work, struct error *err)
{
    const struct engine_program *program;
    char names[200] = "", packages[200] = "";
    enum program_need need = *work->own ? NEEDED_TO_BUILD_ON_OWN : NEEDED_TO_BUILD;
    for (size_t i = 0; (program = engine_missing_program(work->engine, need, &i));) {
        size_t used = strlen(names), more = strlen(packages);
        snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", program->name);
        if (!strstr(packages, program->package))
            snprintf(packages + more, sizeof packages - more, " %s", program->package);
    }
    if (!*names)
        return STATUS_OK;
    error_set(err, STATUS_NOT_FOUND, "%s cannot be built: %s %s missing", work->engine->base, names,
              strchr(names, ',') ? "are" : "is");
    return error_remedy(err, "Run: apt-get install%s", packages);
}

static unsigned threads_of(const struct work *work)
{
    struct cores cores;
    cores_read(&cores);
    return work->request->threads ? work->request->threads : cores.cpu_count;
}

static unsigned minutes_of(const struct work *work)
{
    unsigned threads = threads_of(work);
    return work->version ? (work->version->build_minutes + threads - 1) / threads : 0;
}

static enum status announce(const struct work *work, struct error *err)
{
    const struct engine_version *version = work->version;
    if (!version)
        return STATUS_OK;
    unsigned threads = threads_of(work);
    work_say(work,
             "%s %s: %.0f MB to download, %.0f MB on disk while it is built, %.0f MB afterwards, "
             "in %s",
             work->engine->base, work->name, (double)version->full.download_bytes / 1e6,
             (double)version->build_bytes / 1e6, (double)version->full.disk_bytes / 1e6,
             work->folder);
    work_say(work, "It is compiled for this processor, by %u thread%s: about %u minute%s.", threads,
             threads == 1 ? "" : "s", minutes_of(work), minutes_of(work) == 1 ? "" : "s");
    return work_space_check(
        work, version->full.download_bytes + version->build_bytes + version->full.disk_bytes, err);
}

static enum status folders_prepare(const struct work *work, const struct places *places,
                                   struct error *err)
{
    enum status status = folder_remove(places->work, err);
    if (!status)
        status = folder_make(places->scratch, err);
    if (!status)
        status = folder_make(places->to, err);
    return status ? status : folder_make(work->downloads, err);
}

static enum status build(const struct work *work, const struct places *places, struct error *err)
{
    const struct build_script script = {.engine = work->engine,
                                        .version = work->name,
                                        .own = work->own,
                                        .scratch = places->scratch,
                                        .to = places->to,
                                        .downloads = work->downloads,
                                        .old = path_is_folder(places->built) ? places->built : "",
                                        .log_path = work->log_path,
                                        .threads = threads_of(work),
                                        .minutes = minutes_of(work),
                                        .gpu = work->request->gpu,
                                        .cancel_fd = work->request->cancel_fd,
                                        .progress = work->request->progress,
                                        .context = work->request->context};
    return build_script_run(&script, err);
}

/* What is whole takes the place of what was there. */
static enum status put_in_place(const struct places *places, struct error *err)
{
    if (rename(places->built, places->replaced) != 0 && errno != ENOENT)
        return error_errno(err, "replace %.300s", places->built);
    if (rename(places->to, places->built) != 0)
        return error_errno(err, "move what was built to %.300s", places->built);
    return STATUS_OK;
}

/* The worker is tried where it was built, and becomes an installation by one rename. */
static enum status complete(struct work *work, const struct places *places, const char *recipe,
                            struct error *err)
{
    const struct installation installation = {.version = work->name,
                                              .build = "built",
                                              .requirements = recipe,
                                              .built = places->to,
                                              .own = *work->own ? work->own : NULL};
    struct worker_hello hello;
    enum status status = work_greet(work, &installation, &hello, err);
    if (status)
        return status;
    work_say(work, "It works: %s %s %s.", hello.engine, hello.version, hello.stands_on);
    status = installation_write(places->to, work->engine->base, &installation, err);
    if (!status)
        status = work_flush(work, err);
    return status ? status : put_in_place(places, err);
}

enum status install_built(struct work *work, struct error *err)
{
    struct places places;
    const char *recipe;
    struct error ignored;
    enum status status = places_find(work, &places, err);
    if (!status)
        status = recipe_read(work->engine, work->request->gpu, &work->arena, &recipe, err);
    if (!status && work->version && is_ready(work, recipe))
        return STATUS_OK;
    if (!status)
        status = programs_check(work, err);
    if (!status)
        status = announce(work, err);
    if (!status)
        status = folders_prepare(work, &places, err);
    if (!status)
        status = build(work, &places, err);
    if (!status)
        status = complete(work, &places, recipe, err);
    folder_remove(places.work, &ignored);
    if (!status || !work->version)
        folder_remove(work->downloads, &ignored);
    rmdir(work->folder); /* stays unless there is nothing in it */
    return status;
}

enum status install_built_find(struct work *work, struct error *err)
{
    char folder[PATH_MAX], scratch[ROOM], log_path[ROOM];
    struct error ignored;
    struct build_script script = {.engine = work->engine,
                                  .version = "",
                                  .own = "",
                                  .scratch = scratch,
                                  .to = "",
                                  .downloads = "",
                                  .old = "",
                                  .log_path = log_path,
                                  .threads = 1,
                                  .cancel_fd = work->request->cancel_fd};
    enum status status = installation_folder(work->engine->base, NULL, folder, sizeof folder, err);
    snprintf(scratch, sizeof scratch, "%s/.find", folder);
    snprintf(log_path, sizeof log_path, "%s/.find.log", folder);
    if (!status)
        status = folder_make(scratch, err);
    if (!status)
        status = build_script_find(&script, work->own, sizeof work->own, err);
    folder_remove(scratch, &ignored);
    if (!status)
        unlink(log_path);
    return status;
}
