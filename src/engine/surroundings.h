/* What a worker is started with: its command, and its environment beside ours. */
#ifndef PRONY_ENGINE_SURROUNDINGS_H
#define PRONY_ENGINE_SURROUNDINGS_H

#include "engine/manifest.h"

struct surroundings {
    const char *list[10]; /* as child_start() takes them */
    char *python_path, *bytecode, *cache, *scratch;
};

/* Nothing of the user's Python reaches an environment of ours; an interpreter that the user named
 * runs as it does for the user, and nothing is put beside its modules. Makes the folder for compile
 * caches, and the scratch folder, which the caller has to remove. */
enum status surroundings_make(struct surroundings *around, const struct engine *engine,
                              struct error *err);
void surroundings_free(struct surroundings *around);
/* The path of the scratch folder; NULL before there is one. */
const char *surroundings_scratch(const struct surroundings *around);

/* The command with the interpreter in it, malloc'd; NULL: there is no memory. */
const char **surroundings_command(const struct engine *engine);

#endif
