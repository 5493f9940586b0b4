/* Finds the engines that are installed: folders with an engine.json. */
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/installation.h"
#include "engine/manifest.h"

enum { MAX_MANIFEST = 1 << 20 };

/* Room for one more element in an array of the arena; the old array is left to the arena. */
static void *array_grow(struct arena *arena, void *array, size_t count, size_t size)
{
    if (count & (count - 1)) /* full only at powers of two */
        return array;
    void *grown = arena_array(arena, count ? count * 2 : 1, size);
    if (grown && count)
        memcpy(grown, array, count * size);
    return grown;
}

static enum status problem_add(struct engine_catalogue *catalogue, const char *folder,
                               const struct error *problem, struct error *err)
{
    struct engine_problem *problems = array_grow(&catalogue->arena, catalogue->problems,
                                                 catalogue->problem_count, sizeof *problems);
    const char *copy = arena_strdup(&catalogue->arena, folder);
    if (!problems || !copy)
        return error_no_memory(err, sizeof *problems);
    problems[catalogue->problem_count++] = (struct engine_problem){copy, *problem};
    catalogue->problems = problems;
    return STATUS_OK;
}

static enum status engine_add(struct engine_catalogue *catalogue, const char *folder,
                              struct error *err)
{
    char path[PATH_MAX], *text;
    size_t bytes;
    struct error problem;
    struct engine engine;
    snprintf(path, sizeof path, "%s/engine.json", folder);
    enum status status = file_read(path, MAX_MANIFEST, &text, &bytes, &problem);
    if (!status) {
        status = engine_manifest_parse(&engine, folder, text, bytes, &catalogue->arena, &problem);
        free(text);
    }
    if (status)
        return problem_add(catalogue, folder, &problem, err);
    if (engine_find(catalogue, engine.name))
        return STATUS_OK;
    struct engine *engines =
        array_grow(&catalogue->arena, catalogue->engines, catalogue->count, sizeof *engines);
    if (!engines)
        return error_no_memory(err, sizeof *engines);
    engines[catalogue->count++] = engine;
    catalogue->engines = engines;
    return STATUS_OK;
}

static bool holds(const char *folder, const char *file)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

/* Adds the engines in root, which may be one itself. Notes where the Python SDK is. */
static enum status root_add(struct engine_catalogue *catalogue, const char *root, const char **sdk,
                            struct error *err)
{
    enum status status = STATUS_OK;
    struct dirent **entries = NULL;
    char path[PATH_MAX];
    if (holds(root, "engine.json"))
        return engine_add(catalogue, root, err);
    if (!*sdk && holds(root, "sdk/prony_worker.py"))
        *sdk = arena_printf(&catalogue->arena, "%s/sdk", root);
    int count = scandir(root, &entries, NULL, alphasort);
    if (count < 0) {
        struct error problem;
        error_errno(&problem, "read the folder of engines");
        return problem_add(catalogue, root, &problem, err);
    }
    for (int i = 0; i < count; i++) {
        int length = snprintf(path, sizeof path, "%s/%s", root, entries[i]->d_name);
        if (!status && entries[i]->d_name[0] != '.' && (size_t)length < sizeof path &&
            holds(path, "engine.json"))
            status = engine_add(catalogue, path, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* The folders of $PRONY_ENGINE_PATH. One that cannot be found is a problem to show, not the end. */
static enum status path_add(struct engine_catalogue *catalogue, const char **sdk, struct error *err)
{
    const char *list = getenv("PRONY_ENGINE_PATH");
    enum status status = STATUS_OK;
    while (list && *list && !status) {
        size_t length = strcspn(list, ":");
        char *entry = arena_strndup(&catalogue->arena, list, length);
        char root[PATH_MAX];
        if (!entry)
            return error_no_memory(err, length);
        if (length && realpath(entry, root)) {
            status = root_add(catalogue, root, sdk, err);
        } else if (length) {
            struct error problem;
            error_errno(&problem, "find a folder of $PRONY_ENGINE_PATH");
            status = problem_add(catalogue, entry, &problem, err);
        }
        list += length + (list[length] == ':');
    }
    return status;
}

static enum status binary_add(struct engine_catalogue *catalogue, const char **sdk,
                              struct error *err)
{
    static const char *const places[] = {"engines", "../" PRONY_LIBEXEC "/engines"};
    char binary[PATH_MAX], place[PATH_MAX * 2], root[PATH_MAX];
    enum status status = STATUS_OK;
    ssize_t length = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (length < 0)
        return error_errno(err, "read /proc/self/exe");
    binary[length] = '\0';
    *strrchr(binary, '/') = '\0';
    for (size_t i = 0; i < 2 && !status; i++) {
        snprintf(place, sizeof place, "%s/%s", binary, places[i]);
        if (realpath(place, root) && path_is_folder(root))
            status = root_add(catalogue, root, sdk, err);
    }
    return status;
}

static bool is_in_manifest(const struct engine_install *install, const char *version)
{
    for (size_t i = 0; i < install->version_count; i++)
        if (strcmp(install->versions[i].name, version) == 0)
            return true;
    return false;
}

static enum status version_add(struct engine_catalogue *catalogue, const struct engine *engine,
                               const char *version, struct error *err)
{
    struct engine *versions = array_grow(&catalogue->arena, catalogue->versions,
                                         catalogue->version_count, sizeof *versions);
    if (!versions)
        return error_no_memory(err, sizeof *versions);
    catalogue->versions = versions;
    return installation_version(engine, version, &versions[catalogue->version_count++],
                                &catalogue->arena, err);
}

/* The versions that can be installed, then others that are: interpreters that the user named, and
 * versions that an older engine.json had. */
static enum status versions_add(struct engine_catalogue *catalogue, const struct engine *engine,
                                struct error *err)
{
    const char *const *others;
    enum status status = STATUS_OK;
    if (!engine->install)
        return STATUS_OK;
    for (size_t i = 0; i < engine->install->version_count && !status; i++)
        status = version_add(catalogue, engine, engine->install->versions[i].name, err);
    if (!status)
        status = installation_list(engine->base, &catalogue->arena, &others, err);
    for (; !status && *others; others++)
        if (!is_in_manifest(engine->install, *others))
            status = version_add(catalogue, engine, *others, err);
    return status;
}

enum status engine_catalogue_open(struct engine_catalogue *catalogue, struct error *err)
{
    const char *sdk = NULL;
    *catalogue = (struct engine_catalogue){0};
    enum status status = path_add(catalogue, &sdk, err);
    if (!status)
        status = binary_add(catalogue, &sdk, err);
    for (size_t i = 0; i < catalogue->count && !status; i++) {
        struct engine *engine = &catalogue->engines[i];
        engine->sdk = sdk;
        status = versions_add(catalogue, engine, err);
        if (!status)
            status = installation_resolve(engine, &catalogue->arena, err);
    }
    if (status)
        engine_catalogue_close(catalogue);
    return status;
}

void engine_catalogue_close(struct engine_catalogue *catalogue)
{
    arena_free(&catalogue->arena);
    *catalogue = (struct engine_catalogue){0};
}

const struct engine *engine_find(const struct engine_catalogue *catalogue, const char *name)
{
    for (size_t i = 0; i < catalogue->count; i++)
        if (strcmp(catalogue->engines[i].name, name) == 0)
            return &catalogue->engines[i];
    for (size_t i = 0; i < catalogue->version_count; i++)
        if (strcmp(catalogue->versions[i].name, name) == 0)
            return &catalogue->versions[i];
    return NULL;
}

static const struct engine_variant *find_among(const struct engine *engines, size_t count,
                                               const char *name, const struct engine **engine)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < engines[i].variant_count; j++)
            if (strcmp(engines[i].variants[j].name, name) == 0) {
                *engine = &engines[i];
                return &engines[i].variants[j];
            }
    return NULL;
}

const struct engine_variant *engine_variant_find(const struct engine_catalogue *catalogue,
                                                 const char *name, const struct engine **engine)
{
    const struct engine_variant *found =
        find_among(catalogue->engines, catalogue->count, name, engine);
    return found ? found : find_among(catalogue->versions, catalogue->version_count, name, engine);
}
