/* Whether an engine can be started on this machine, and if not, what mends it. */
#ifndef PRONY_ENGINE_PRESENCE_H
#define PRONY_ENGINE_PRESENCE_H

#include "engine/manifest.h"

/* Whether it is installed, in whatever state: the default choice of engines has only those. */
bool engine_is_installed(const struct engine *engine);

/* Why the engine's worker cannot be started here, and the command that mends it; NULL: it can be.
 * With a variant and a device, what these need counts; NULL: what all of them need. */
const char *engine_obstacle(const struct engine *engine, const struct engine_variant *variant,
                            const char *device, struct arena *arena);

/* The next program of the system that is missing and that its build, or else any of its variants,
 * needs; *index begins at 0. NULL: there are no more. */
const struct engine_program *engine_missing_program(const struct engine *engine, bool build,
                                                    size_t *index);

#endif
