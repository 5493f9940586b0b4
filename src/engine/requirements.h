/* A pip requirements file, package by package. */
#ifndef PRONY_ENGINE_REQUIREMENTS_H
#define PRONY_ENGINE_REQUIREMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

struct requirement {
    const char *name; /* "torch" */
    const char *text; /* the whole of it on one line, hashes included */
    bool hashed;
};

/* Reads the file at path; everything lives in the arena. STATUS_FORMAT names the line that is not a
 * package with an exact version. */
enum status requirements_read(const char *path, struct arena *arena, struct requirement **list,
                              size_t *count, struct error *err);

#endif
