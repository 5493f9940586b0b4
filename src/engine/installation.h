/* What is installed for an engine, and where.
 *
 * Everything is in Prony's cache folder:
 *
 *     engines/NAME/VERSION/ready.json     what it is; written last
 *     engines/NAME/VERSION/environment/   the virtual environment
 *     engines/NAME/VERSION/downloads/     what has arrived, until it is ready
 *     engines/NAME/VERSION/built-CPU/     what was built for this processor, and its ready.json
 *     engines/NAME/VERSION/install.log    what pip or the build said
 *     compiled/NAME@VERSION/              what the engine's compilers keep (PRONY_ENGINE_CACHE)
 *     compiled/NAME@VERSION/bytecode/     of the modules of an interpreter of the user's
 *
 * Without ready.json nothing counts as installed. VERSION is one of engine.json's, which begin with
 * a digit, or a name for an interpreter or a build of the user's: "user", if the user gave none. */
#ifndef PRONY_ENGINE_INSTALLATION_H
#define PRONY_ENGINE_INSTALLATION_H

#include "engine/manifest.h"

/* ready.json. Strings live in the arena that it was read into. */
struct installation {
    const char *version;
    const char *build;  /* "full", "cpu": of engine.json; "user": the user's interpreter; "built" */
    const char *python; /* the interpreter, absolute; NULL when it was built */
    const char *requirements; /* what the files held that it was made from; "": nothing was made */
    const char *built;        /* folder of what was built; NULL: none */
    const char *own;          /* what of the user's that stands on; NULL: nothing */
};

/* The path of engines/NAME/VERSION; VERSION NULL: engines/NAME. */
enum status installation_folder(const char *name, const char *version, char *path, size_t size,
                                struct error *err);
/* The path of engines/NAME/VERSION/built-CPU. */
enum status installation_built(const char *name, const char *version, char *path, size_t size,
                               struct error *err);
/* The path of compiled/NAME@VERSION; VERSION NULL: an engine that needs no installation. */
enum status installation_cache(const char *name, const char *version, char *path, size_t size,
                               struct error *err);

/* False when that version is not installed. */
bool installation_read(const char *name, const char *version, struct arena *arena,
                       struct installation *installation);
/* Makes the version an installed one: writes ready.json into folder. */
enum status installation_write(const char *folder, const char *name,
                               const struct installation *installation, struct error *err);
/* Makes it one that is not, on whatever processor: its ready.json are removed. */
enum status installation_forget(const char *name, const char *version, struct error *err);
/* Names of all folders of versions, installed or half made, in the arena; ended by NULL. */
enum status installation_list(const char *name, struct arena *arena, const char *const **versions,
                              struct error *err);

/* Fills what the manifest leaves open: version, python, cache, bytecode. */
enum status installation_use(struct engine *engine, const struct installation *installation,
                             struct arena *arena, struct error *err);
/* The same with what there is: an interpreter that the user named without a version comes before
 * the default version, and that before the others. */
enum status installation_resolve(struct engine *engine, struct arena *arena, struct error *err);
/* The engine with one version, installed or not: it and its variants are called NAME@VERSION. */
enum status installation_version(const struct engine *engine, const char *version,
                                 struct engine *made, struct arena *arena, struct error *err);

#endif
