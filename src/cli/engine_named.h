/* An engine by the name that the user gave. */
#ifndef PRONY_CLI_ENGINE_NAMED_H
#define PRONY_CLI_ENGINE_NAMED_H

#include "engine/manifest.h"

/* NULL with *err filled when there is none: it names the nearest, or what is wrong with its
 * folder. */
const struct engine *engine_named(const struct engine_catalogue *catalogue, const char *name,
                                  struct error *err);

/* NAME or NAME@VERSION: the engine NAME, and the version if one was given, else NULL. */
const struct engine *engine_named_version(const struct engine_catalogue *catalogue,
                                          const char *argument, const char **version,
                                          struct error *err);

#endif
