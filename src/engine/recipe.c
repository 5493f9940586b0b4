#include "engine/recipe.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_FILE = 1 << 20 };

static const char for_gpu[] = "GPU\n";

static enum status append(const char *path, struct arena *arena, const char **text,
                          struct error *err)
{
    char *file;
    size_t bytes;
    enum status status = file_read(path, MAX_FILE, &file, &bytes, err);
    if (status)
        return status;
    *text = arena_printf(arena, "%s%s", *text, file);
    free(file);
    return *text ? STATUS_OK : error_no_memory(err, bytes);
}

enum status recipe_read(const struct engine *engine, bool gpu, struct arena *arena,
                        const char **text, struct error *err)
{
    char path[PATH_MAX * 2];
    enum status status = STATUS_OK;
    *text = gpu ? for_gpu : "";
    for (const char *const *file = engine->install->build; *file && !status; file++) {
        snprintf(path, sizeof path, "%s/%s", engine->folder, *file);
        status = append(path, arena, text, err);
    }
    snprintf(path, sizeof path, "%s/include/prony/worker.h", engine->sdk ? engine->sdk : ".");
    return status || !path_is_file(path) ? status : append(path, arena, text, err);
}

bool recipe_has_changed(const struct engine *engine, struct arena *arena)
{
    const char *now;
    struct error ignored; /* a file that is gone has changed */
    if (!engine->built)
        return false;
    bool gpu = strncmp(engine->built_from, for_gpu, strlen(for_gpu)) == 0;
    return recipe_read(engine, gpu, arena, &now, &ignored) || strcmp(now, engine->built_from) != 0;
}
