/* What of an engine is there on this machine, and what is missing.
 *
 * Everything that is installed for an engine is in Prony's cache folder:
 *
 *     engines/NAME/VERSION/ready.json    says which interpreter it is; written last
 *     engines/NAME/VERSION/environment/  a virtual environment, unless the interpreter is the
 * user's compiled/NAME@VERSION/             what the engine's compilers keep (PRONY_ENGINE_CACHE)
 *
 * Without ready.json nothing counts as installed. VERSION is one of engine.json's, or "user" for an
 * interpreter that the user named. */
#ifndef PRONY_ENGINE_INSTALLATION_H
#define PRONY_ENGINE_INSTALLATION_H

#include "engine/manifest.h"

/* Fills what the manifest leaves open: version, python, cache, and {python} in the command. Takes
 * the user's own interpreter before the default version, and that before the others. */
enum status installation_resolve(struct engine *engine, struct arena *arena, struct error *err);

/* Whether it is installed, in whatever state: the default choice of engines has only those. */
bool installation_exists(const struct engine *engine);

/* Why the engine's worker cannot be started here, and the command that mends it; NULL: it can be.
 * With a variant and a device, what these need counts; NULL: what all of them need. */
const char *installation_obstacle(const struct engine *engine, const struct engine_variant *variant,
                                  const char *device, struct arena *arena);

/* The path of engines/NAME/VERSION; VERSION NULL: engines/NAME. */
enum status installation_folder(const char *name, const char *version, char *path, size_t size,
                                struct error *err);
/* Writes ready.json, which makes the version an installed one. */
enum status installation_stamp(const char *name, const char *version, const char *python,
                               struct error *err);

#endif
