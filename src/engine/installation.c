#include "engine/installation.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/processor.h"

enum { MAX_STAMP = 1 << 20 };

enum status installation_folder(const char *name, const char *version, char *path, size_t size,
                                struct error *err)
{
    char below[128];
    snprintf(below, sizeof below, "engines/%s%s%s", name, version ? "/" : "",
             version ? version : "");
    return cache_path(path, size, below, err);
}

enum status installation_cache(const char *name, const char *version, char *path, size_t size,
                               struct error *err)
{
    char below[128];
    snprintf(below, sizeof below, "compiled/%s%s%s", name, version ? "@" : "",
             version ? version : "");
    return cache_path(path, size, below, err);
}

static enum status path_extend(char *path, size_t size, const char *more, struct error *err)
{
    size_t used = strlen(path);
    if ((size_t)snprintf(path + used, size - used, "/%s", more) < size - used)
        return STATUS_OK;
    return error_set(err, STATUS_IO, "the path of the cache folder is too long");
}

enum status installation_built(const char *name, const char *version, char *path, size_t size,
                               struct error *err)
{
    char tag[PROCESSOR_TAG], below[PROCESSOR_TAG + 8];
    enum status status = installation_folder(name, version, path, size, err);
    processor_tag(tag);
    snprintf(below, sizeof below, "built-%s", tag);
    return status ? status : path_extend(path, size, below, err);
}

/* An environment of ours is found again when the cache folder was moved. */
static const char *own_python(const char *name, const char *version, struct arena *arena)
{
    char folder[PATH_MAX];
    struct error ignored;
    if (installation_folder(name, version, folder, sizeof folder, &ignored))
        return NULL;
    return arena_printf(arena, "%s/environment/bin/python3", folder);
}

/* The stamp in the folder of a version, or in the folder of what was built. */
static bool stamp_read(const char *folder, const char *name, const char *version,
                       struct arena *arena, struct installation *installation)
{
    char path[PATH_MAX + 16];
    const char *build, *python, *requirements, *own;
    struct error ignored;
    snprintf(path, sizeof path, "%s/ready.json", folder);
    json_t *stamp = path_is_file(path) ? json_read(path, MAX_STAMP, &ignored) : NULL;
    bool good = stamp && !json_get_string(stamp, "build", &build, &ignored) &&
                !json_get_string_or(stamp, "python", "", &python, &ignored) &&
                !json_get_string_or(stamp, "own", "", &own, &ignored) &&
                !json_get_string(stamp, "requirements", &requirements, &ignored);
    if (good) {
        bool user = strcmp(build, "user") == 0, built = strcmp(build, "built") == 0;
        *installation = (struct installation){.version = arena_strdup(arena, version),
                                              .build = arena_strdup(arena, build),
                                              .requirements = arena_strdup(arena, requirements)};
        if (built)
            installation->built = arena_strdup(arena, folder);
        else
            installation->python =
                user ? arena_strdup(arena, python) : own_python(name, version, arena);
        installation->own = *own ? arena_strdup(arena, own) : NULL;
        good = installation->version && installation->build && installation->requirements &&
               (installation->python || installation->built);
    }
    json_decref(stamp);
    return good;
}

bool installation_read(const char *name, const char *version, struct arena *arena,
                       struct installation *installation)
{
    char folder[PATH_MAX], built[PATH_MAX];
    struct error ignored;
    return !installation_folder(name, version, folder, sizeof folder, &ignored) &&
           !installation_built(name, version, built, sizeof built, &ignored) &&
           (stamp_read(folder, name, version, arena, installation) ||
            stamp_read(built, name, version, arena, installation));
}

static enum status stamp_remove(const char *folder, const char *below, struct error *err)
{
    char path[PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s/ready.json", folder, below);
    return unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR
               ? STATUS_OK
               : error_errno(err, "remove %.300s", path);
}

enum status installation_forget(const char *name, const char *version, struct error *err)
{
    char folder[PATH_MAX];
    enum status status = installation_folder(name, version, folder, sizeof folder, err);
    if (!status)
        status = stamp_remove(folder, ".", err);
    DIR *entries = status ? NULL : opendir(folder);
    for (struct dirent *entry; !status && entries && (entry = readdir(entries));)
        if (strncmp(entry->d_name, "built-", strlen("built-")) == 0)
            status = stamp_remove(folder, entry->d_name, err);
    if (entries)
        closedir(entries);
    return status;
}

enum status installation_write(const char *folder, const char *name,
                               const struct installation *installation, struct error *err)
{
    char path[PATH_MAX + 16];
    struct file_writer writer = {0};
    snprintf(path, sizeof path, "%s/ready.json", folder);
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    json_t *stamp = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:s}", "engine", name, "version",
                              installation->version, "build", installation->build, "python",
                              installation->python, "own", installation->own, "requirements",
                              installation->requirements);
    status = stamp ? STATUS_OK : error_no_memory(err, sizeof *stamp);
    if (!status && json_dumpf(stamp, writer.stream, JSON_INDENT(2)))
        status = error_errno(err, "write %.300s", path);
    json_decref(stamp);
    if (!status)
        status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    return status;
}

enum status installation_list(const char *name, struct arena *arena, const char *const **versions,
                              struct error *err)
{
    static const char *const none[] = {NULL};
    char folder[PATH_MAX];
    struct dirent **entries = NULL;
    size_t used = 0;
    *versions = none;
    enum status status = installation_folder(name, NULL, folder, sizeof folder, err);
    int count = status ? -1 : scandir(folder, &entries, NULL, versionsort);
    if (count < 0)
        return status; /* no folder: nothing was installed */
    const char **list = arena_array(arena, (size_t)count + 1, sizeof *list);
    for (int i = 0; i < count; i++) {
        if (list && entries[i]->d_name[0] != '.' &&
            (list[used] = arena_strdup(arena, entries[i]->d_name)) != NULL)
            used++;
        free(entries[i]);
    }
    free(entries);
    if (!list)
        return error_no_memory(err, sizeof *list);
    *versions = list;
    return STATUS_OK;
}

static enum status cache_fill(struct engine *engine, const char *version, struct arena *arena,
                              struct error *err)
{
    char path[PATH_MAX];
    struct error nowhere; /* then there is no cache; who needs one will say so */
    if (installation_cache(engine->base, version, path, sizeof path, &nowhere))
        return STATUS_OK;
    engine->cache = arena_strdup(arena, path);
    return engine->cache ? STATUS_OK : error_no_memory(err, strlen(path));
}

/* The smaller build takes less memory. */
static void base_choose(struct engine *engine, const struct installation *installation)
{
    bool full = strcmp(installation->build, "full") == 0;
    for (size_t i = 0; full && i < engine->variant_count; i++) {
        struct engine_memories *memory = &engine->variants[i].memory;
        if (memory->full_base_bytes)
            memory->cpu.base_bytes = memory->full_base_bytes;
    }
}

enum status installation_use(struct engine *engine, const struct installation *installation,
                             struct arena *arena, struct error *err)
{
    engine->version = installation->version;
    engine->python = installation->python;
    engine->own_python = installation->python && strcmp(installation->build, "user") != 0;
    engine->built = installation->built;
    engine->built_from = installation->requirements;
    engine->own = installation->own;
    base_choose(engine, installation);
    enum status status = cache_fill(engine, installation->version, arena, err);
    if (status || !engine->cache || !engine->python || engine->own_python)
        return status;
    engine->bytecode = arena_printf(arena, "%s/bytecode", engine->cache);
    return engine->bytecode ? STATUS_OK : error_no_memory(err, strlen(engine->cache));
}

enum status installation_resolve(struct engine *engine, struct arena *arena, struct error *err)
{
    const struct engine_install *install = engine->install;
    struct installation found;
    const char *const *others;
    if (!install)
        return cache_fill(engine, NULL, arena, err);
    if (installation_read(engine->base, "user", arena, &found))
        return installation_use(engine, &found, arena, err);
    for (size_t i = 0; i < install->version_count; i++)
        if (installation_read(engine->base, install->versions[i].name, arena, &found))
            return installation_use(engine, &found, arena, err);
    enum status status = installation_list(engine->base, arena, &others, err);
    for (; !status && *others; others++)
        if (installation_read(engine->base, *others, arena, &found))
            return installation_use(engine, &found, arena, err);
    return status;
}

enum status installation_version(const struct engine *engine, const char *version,
                                 struct engine *made, struct arena *arena, struct error *err)
{
    struct installation found;
    size_t count = engine->variant_count;
    *made = *engine;
    made->version = made->python = made->cache = made->bytecode = made->built = made->own = NULL;
    made->name = arena_printf(arena, "%s@%s", engine->base, version);
    made->variants = arena_array(arena, count, sizeof *made->variants);
    bool good = made->name && made->variants;
    for (size_t i = 0; i < count && good; i++) {
        struct engine_variant *variant = &made->variants[i];
        *variant = engine->variants[i];
        variant->name = arena_printf(arena, "%s@%s", variant->own_name, version);
        variant->title = arena_printf(arena, "%s@%s", variant->title, version);
        good = variant->name && variant->title;
    }
    if (!good)
        return error_no_memory(err, count * sizeof *made->variants);
    return installation_read(engine->base, version, arena, &found)
               ? installation_use(made, &found, arena, err)
               : STATUS_OK;
}
