#include "engine/presence.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/recipe.h"

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

bool engine_is_installed(const struct engine *engine)
{
    if (engine->install)
        return engine->python || engine->built;
    return is_there(engine, engine->command[0]);
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

static const struct engine_program *needed_program(const struct engine *engine,
                                                   const struct engine_variant *variant,
                                                   const char *device)
{
    const char *name = variant ? variant->own_name : NULL;
    for (size_t i = 0; engine->install && i < engine->install->program_count; i++) {
        const struct engine_program *program = &engine->install->programs[i];
        if (!program->build && concerns(program->variants, name, name ? strlen(name) : 0) &&
            concerns(program->devices, device, device ? strcspn(device, ":") : 0) &&
            !found_in_path(program->name))
            return program;
    }
    return NULL;
}

const char *engine_obstacle(const struct engine *engine, const struct engine_variant *variant,
                            const char *device, struct arena *arena)
{
    if (engine->install && !engine_is_installed(engine))
        return arena_printf(arena, "not installed. Run: prony engines install %s", engine->name);
    if (engine->python && access(engine->python, X_OK) != 0)
        return arena_printf(arena, "its interpreter %s is gone. Run: prony engines install %s%s",
                            engine->python, engine->name,
                            engine->own_python ? "" : " --python INTERPRETER");
    if (!engine->python && *engine->command[0] != '{' && !is_there(engine, engine->command[0]))
        return arena_printf(arena, "its worker %s is missing in %s; build Prony again",
                            engine->command[0], engine->folder);
    if (recipe_has_changed(engine, arena))
        return arena_printf(arena,
                            "it was built from other files than Prony has now. Run: prony engines "
                            "install %s@%s%s%s",
                            engine->base, engine->version, engine->own ? " --own " : "",
                            engine->own ? engine->own : "");
    const struct engine_program *program = needed_program(engine, variant, device);
    if (program)
        return arena_printf(arena, "%s is missing, which it needs: %s. Run: apt-get install %s",
                            program->name, program->reason, program->package);
    return NULL;
}

static bool is_needed(const struct engine_program *program, enum program_need need)
{
    if (program->build != (need != NEEDED_TO_RUN))
        return false;
    return program->own || need != NEEDED_TO_BUILD_ON_OWN;
}

const struct engine_program *engine_missing_program(const struct engine *engine,
                                                    enum program_need need, size_t *index)
{
    while (engine->install && *index < engine->install->program_count) {
        const struct engine_program *program = &engine->install->programs[(*index)++];
        if (is_needed(program, need) && !found_in_path(program->name))
            return program;
    }
    return NULL;
}
