/* The "install" of an engine.json: the Python packages that an engine stands on, or how what it
 * stands on is built. */
#ifndef PRONY_ENGINE_MANIFEST_INSTALL_H
#define PRONY_ENGINE_MANIFEST_INSTALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* One set of packages. Strings and lists live in the catalogue's arena. */
struct engine_build {
    const char *requirements; /* file beside engine.json: exact versions with hashes; NULL: none */
    uint64_t download_bytes, disk_bytes;
};

struct engine_version {
    const char *name; /* "2.15.0" */
    struct engine_build full;
    struct engine_build cpu; /* smaller, for machines without a GPU, where an index has it */
    /* Of an engine that is built; full has its download and what stays, without requirements. */
    uint64_t build_bytes;   /* what the build takes besides, while it goes on */
    unsigned build_minutes; /* of one processor */
};

/* A program of the system that the worker or the build calls, such as a compiler. */
struct engine_program {
    const char *name, *package, *reason; /* "clang", its Debian package, what it is needed for */
    const char *const *variants;         /* those that need it; empty: all */
    const char *const *devices;          /* those where it is needed; empty: all */
    bool build;                          /* the build needs it; the worker does not */
    bool own;                            /* a build of the user's does not make it needless */
};

struct engine_install {
    const char *python[2]; /* oldest and newest Python that the packages are for, "3.10" */
    /* Files in the engine's folder that an engine is built with, of which the first is the script
     * that builds it; NULL: it stands on packages. */
    const char *const *build;
    struct engine_version *versions; /* the first is the default */
    size_t version_count;
    struct engine_program *programs;
    size_t program_count;
};

/* Reads the object into *install, which is made in the arena. */
enum status manifest_install_parse(const json_t *object, struct arena *arena,
                                   const struct engine_install **install, struct error *err);

#endif
