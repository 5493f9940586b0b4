#include "engine/installation.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum { MAX_STAMP = 1 << 16 };

enum status installation_folder(const char *name, const char *version, char *path, size_t size,
                                struct error *err)
{
    char below[128];
    snprintf(below, sizeof below, "engines/%s%s%s", name, version ? "/" : "",
             version ? version : "");
    return cache_path(path, size, below, err);
}

/* The interpreter of an installed version; NULL when the version is not installed. */
static const char *stamp_read(const char *name, const char *version, struct arena *arena)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    const char *python = NULL;
    struct error ignored;
    if (installation_folder(name, version, folder, sizeof folder, &ignored))
        return NULL;
    snprintf(path, sizeof path, "%s/ready.json", folder);
    json_t *stamp = json_read(path, MAX_STAMP, &ignored);
    if (stamp && !json_get_string(stamp, "python", &python, &ignored))
        python = arena_strdup(arena, python);
    json_decref(stamp);
    return python;
}

enum status installation_stamp(const char *name, const char *version, const char *python,
                               struct error *err)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    struct file_writer writer = {0};
    enum status status = installation_folder(name, version, folder, sizeof folder, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/ready.json", folder);
    status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    json_t *stamp =
        json_pack("{s:s, s:s, s:s}", "engine", name, "version", version, "python", python);
    if (!stamp || json_dumpf(stamp, writer.stream, JSON_INDENT(2)))
        status = error_set(err, STATUS_IO, "cannot write %s", path);
    json_decref(stamp);
    if (!status)
        status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    return status;
}

/* Takes a version when it is installed. */
static bool version_take(struct engine *engine, const char *version, struct arena *arena)
{
    char own[PATH_MAX];
    struct error ignored;
    const char *python = stamp_read(engine->name, version, arena);
    if (!python || installation_folder(engine->name, version, own, sizeof own, &ignored))
        return false;
    engine->version = version;
    engine->python = python;
    engine->own_python = strncmp(python, own, strlen(own)) == 0;
    return true;
}

static enum status command_fill(struct engine *engine, struct arena *arena, struct error *err)
{
    size_t count = 0;
    while (engine->command[count])
        count++;
    const char **filled = arena_array(arena, count + 1, sizeof *filled);
    if (!filled)
        return error_no_memory(err, count * sizeof *filled);
    for (size_t i = 0; i < count; i++)
        filled[i] =
            strcmp(engine->command[i], "{python}") == 0 ? engine->python : engine->command[i];
    engine->command = filled;
    return STATUS_OK;
}

enum status installation_resolve(struct engine *engine, struct arena *arena, struct error *err)
{
    char below[128], path[PATH_MAX];
    struct error ignored;
    const struct engine_install *install = engine->install;
    bool found = install && version_take(engine, "user", arena);
    for (size_t i = 0; install && i < install->version_count && !found; i++)
        found = version_take(engine, install->versions[i].name, arena);
    snprintf(below, sizeof below, "compiled/%s%s%s", engine->name, engine->version ? "@" : "",
             engine->version ? engine->version : "");
    if (!cache_path(path, sizeof path, below, &ignored)) {
        engine->cache = arena_strdup(arena, path);
        if (!engine->cache)
            return error_no_memory(err, strlen(path));
    }
    return found ? command_fill(engine, arena, err) : STATUS_OK;
}

static bool found_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char candidate[PATH_MAX];
    while (path && *path) {
        size_t length = strcspn(path, ":");
        snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, path, program);
        if (access(candidate, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static bool is_there(const struct engine *engine, const char *program)
{
    char path[PATH_MAX];
    if (!strchr(program, '/'))
        return found_in_path(program);
    snprintf(path, sizeof path, "%s%s%s", *program == '/' ? "" : engine->folder,
             *program == '/' ? "" : "/", program);
    return access(path, X_OK) == 0;
}

bool installation_exists(const struct engine *engine)
{
    return engine->install ? engine->python != NULL : is_there(engine, engine->command[0]);
}

static bool concerns(const char *const *list, const char *word, size_t length)
{
    if (!list[0])
        return true;
    for (; word && *list; list++)
        if (strlen(*list) == length && strncmp(*list, word, length) == 0)
            return true;
    return false;
}

static const struct engine_program *missing_program(const struct engine *engine,
                                                    const struct engine_variant *variant,
                                                    const char *device)
{
    const char *name = variant ? variant->name : NULL;
    for (size_t i = 0; engine->install && i < engine->install->program_count; i++) {
        const struct engine_program *program = &engine->install->programs[i];
        if (concerns(program->variants, name, name ? strlen(name) : 0) &&
            concerns(program->devices, device, device ? strcspn(device, ":") : 0) &&
            !found_in_path(program->name))
            return program;
    }
    return NULL;
}

const char *installation_obstacle(const struct engine *engine, const struct engine_variant *variant,
                                  const char *device, struct arena *arena)
{
    if (engine->install && !engine->python)
        return arena_printf(arena, "not installed. Run: prony engines install %s", engine->name);
    if (engine->python && access(engine->python, X_OK) != 0)
        return arena_printf(arena, "its interpreter %s is gone. Run: prony engines install %s",
                            engine->python, engine->name);
    if (!is_there(engine, engine->command[0]))
        return arena_printf(arena, "its worker %s is missing in %s; build Prony again",
                            engine->command[0], engine->folder);
    const struct engine_program *program = missing_program(engine, variant, device);
    if (program)
        return arena_printf(arena, "%s is missing, which it needs: %s. Run: apt-get install %s",
                            program->name, program->reason, program->package);
    return NULL;
}
