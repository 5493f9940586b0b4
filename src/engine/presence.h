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

enum program_need {
    NEEDED_TO_RUN, /* by any of the variants */
    NEEDED_TO_BUILD,
    NEEDED_TO_BUILD_ON_OWN, /* on a build of the user's */
};

/* The next program of the system that is missing and needed; *index begins at 0. NULL: there are no
 * more. */
const struct engine_program *engine_missing_program(const struct engine *engine,
                                                    enum program_need need, size_t *index);

#endif
