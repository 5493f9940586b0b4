/* What an engine that is built was built from, so that one whose files have changed since is seen.
 */
#ifndef PRONY_ENGINE_RECIPE_H
#define PRONY_ENGINE_RECIPE_H

#include "engine/manifest.h"

/* The files that its build names and the SDK's header, one after the other; gpu: that it was built
 * for a machine with one. In the arena. */
enum status recipe_read(const struct engine *engine, bool gpu, struct arena *arena,
                        const char **text, struct error *err);
/* Whether what is installed was built from other files than are there now. */
bool recipe_has_changed(const struct engine *engine, struct arena *arena);

#endif
