#include "engine/manifest_install.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/manifest_values.h"

enum { MAX_VERSIONS = 32, MAX_PROGRAMS = 16 };

static const char *const device_names[] = {"cpu", "cuda", NULL};

static enum status own_file_check(const char *key, const char *name, struct error *err)
{
    if (!strchr(name, '/') && name[0] != '.')
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "\"%s\" is \"%s\"", key, name);
    return error_remedy(err, "It is the name of a file in the engine's folder.");
}

static enum status megabytes(const json_t *object, const char *key, uint64_t *bytes,
                             struct error *err)
{
    int64_t value = 0;
    enum status status = json_get_int(object, key, 0, 1000000, &value, err);
    *bytes = (uint64_t)value * 1000000;
    return status;
}

/* The members of a build, which stand in the version itself or in its "cpu". */
static enum status build_parse(struct engine_build *build, const json_t *object,
                               struct arena *arena, struct error *err)
{
    if (manifest_text(object, "requirements", MANIFEST_TEXT, arena, &build->requirements, err) ||
        megabytes(object, "download_mb", &build->download_bytes, err) ||
        megabytes(object, "disk_mb", &build->disk_bytes, err))
        return err->status;
    return own_file_check("requirements", build->requirements, err);
}

/* What follows the @ of NAME@VERSION, and the name of a folder. */
static enum status version_name_check(const char *name, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-+";
    if (strspn(name, allowed) == strlen(name) && name[0] >= '0' && name[0] <= '9')
        return STATUS_OK;
    error_set(err, STATUS_FORMAT, "\"version\" is \"%s\"", name);
    return error_remedy(err, "A version begins with a digit; digits, small letters, ., - and + may "
                             "follow.");
}

static enum status built_version_parse(struct engine_version *version, const json_t *object,
                                       struct arena *arena, struct error *err)
{
    static const char *const known[] = {"version",  "download_mb",   "disk_mb",
                                        "build_mb", "build_minutes", NULL};
    int64_t minutes;
    if (manifest_keys(object, known, arena, err) ||
        megabytes(object, "download_mb", &version->full.download_bytes, err) ||
        megabytes(object, "disk_mb", &version->full.disk_bytes, err) ||
        megabytes(object, "build_mb", &version->build_bytes, err) ||
        json_get_int(object, "build_minutes", 0, 10000, &minutes, err))
        return err->status;
    version->build_minutes = (unsigned)minutes;
    return STATUS_OK;
}

static enum status version_parse(struct engine_version *version, const json_t *object, bool built,
                                 struct arena *arena, struct error *err)
{
    static const char *const known[] = {"version", "requirements", "download_mb",
                                        "disk_mb", "cpu",          NULL};
    static const char *const known_cpu[] = {"requirements", "download_mb", "disk_mb", NULL};
    const json_t *cpu = json_object_get(object, "cpu");
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "it is not an object");
    if (manifest_text(object, "version", MANIFEST_NAME, arena, &version->name, err) ||
        version_name_check(version->name, err))
        return err->status;
    if (built)
        return built_version_parse(version, object, arena, err);
    if (manifest_keys(object, known, arena, err) || build_parse(&version->full, object, arena, err))
        return err->status;
    if (!cpu)
        return STATUS_OK;
    if (!json_is_object(cpu))
        return error_set(err, STATUS_FORMAT, "\"cpu\" should be an object");
    enum status status = manifest_keys(cpu, known_cpu, arena, err);
    return status ? status : build_parse(&version->cpu, cpu, arena, err);
}

static enum status versions_parse(struct engine_install *install, const json_t *object,
                                  struct arena *arena, struct error *err)
{
    const json_t *array = json_object_get(object, "versions");
    size_t count = json_array_size(array);
    if (count < 1 || count > MAX_VERSIONS)
        return error_set(err, STATUS_FORMAT, "\"versions\" should be a list of 1 to %d objects",
                         MAX_VERSIONS);
    install->versions = arena_array(arena, count, sizeof *install->versions);
    if (!install->versions)
        return error_no_memory(err, count * sizeof *install->versions);
    for (size_t i = 0; i < count; i++) {
        struct engine_version *version = &install->versions[i];
        enum status status =
            version_parse(version, json_array_get(array, i), install->build, arena, err);
        for (size_t j = 0; j < i && !status; j++)
            if (strcmp(install->versions[j].name, version->name) == 0)
                status = error_set(err, STATUS_FORMAT, "\"%s\" is there twice", version->name);
        if (status)
            return error_where(err, "version %zu", i + 1);
    }
    install->version_count = count;
    return STATUS_OK;
}

static enum status program_parse(struct engine_program *program, const json_t *object,
                                 struct arena *arena, struct error *err)
{
    static const char *const known[] = {"program", "package", "reason", "variants",
                                        "devices", "build",   "own",    NULL};
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "it is not an object");
    if (manifest_keys(object, known, arena, err) ||
        manifest_text(object, "program", MANIFEST_NAME, arena, &program->name, err) ||
        manifest_text(object, "package", MANIFEST_NAME, arena, &program->package, err) ||
        manifest_text(object, "reason", MANIFEST_TEXT, arena, &program->reason, err) ||
        manifest_list(object, "variants", NULL, 0, arena, &program->variants, err) ||
        manifest_list(object, "devices", device_names, 0, arena, &program->devices, err) ||
        json_get_bool_or(object, "build", false, &program->build, err) ||
        json_get_bool_or(object, "own", true, &program->own, err))
        return err->status;
    return STATUS_OK;
}

static enum status programs_parse(struct engine_install *install, const json_t *object,
                                  struct arena *arena, struct error *err)
{
    const json_t *array = json_object_get(object, "programs");
    size_t count = json_array_size(array);
    if ((array && !json_is_array(array)) || count > MAX_PROGRAMS)
        return error_set(err, STATUS_FORMAT, "\"programs\" should be a list of at most %d objects",
                         MAX_PROGRAMS);
    install->programs = arena_array(arena, count + 1, sizeof *install->programs);
    if (!install->programs)
        return error_no_memory(err, count * sizeof *install->programs);
    for (size_t i = 0; i < count; i++)
        if (program_parse(&install->programs[i], json_array_get(array, i), arena, err))
            return error_where(err, "program %zu", i + 1);
    install->program_count = count;
    return STATUS_OK;
}

static enum status python_parse(struct engine_install *install, const json_t *object,
                                struct arena *arena, struct error *err)
{
    const char *const *range;
    enum status status = manifest_list(object, "python", NULL, 2, arena, &range, err);
    if (status)
        return status;
    for (size_t i = 0; i < 2; i++) {
        unsigned minor;
        int end = 0;
        if (sscanf(range[i], "3.%2u%n", &minor, &end) != 1 || range[i][end] || range[2]) {
            error_set(err, STATUS_FORMAT, "\"python\" is not a range of versions");
            return error_remedy(err, "Write the oldest and the newest: [\"3.10\", \"3.14\"].");
        }
        install->python[i] = range[i];
    }
    return STATUS_OK;
}

/* An engine is built, or stands on packages for a range of Pythons. */
static enum status kind_parse(struct engine_install *install, const json_t *object,
                              struct arena *arena, struct error *err)
{
    static const char *const known[] = {"python", "build", "versions", "programs", NULL};
    enum status status = manifest_keys(object, known, arena, err);
    if (status)
        return status;
    if (!json_object_get(object, "build"))
        return python_parse(install, object, arena, err);
    if (json_object_get(object, "python"))
        return error_set(err, STATUS_FORMAT, "\"install\" has both \"build\" and \"python\"");
    status = manifest_list(object, "build", NULL, 1, arena, &install->build, err);
    for (size_t i = 0; !status && install->build[i]; i++)
        status = own_file_check("build", install->build[i], err);
    return status;
}

enum status manifest_install_parse(const json_t *object, struct arena *arena,
                                   const struct engine_install **install, struct error *err)
{
    struct engine_install *made = arena_alloc(arena, sizeof *made);
    if (!made)
        return error_no_memory(err, sizeof *made);
    if (!json_is_object(object))
        return error_set(err, STATUS_FORMAT, "\"install\" should be an object");
    if (kind_parse(made, object, arena, err) || versions_parse(made, object, arena, err) ||
        programs_parse(made, object, arena, err))
        return err->status;
    *install = made;
    return STATUS_OK;
}
