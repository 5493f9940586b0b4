/* Finds a Python that environments can be made with. */
#ifndef PRONY_ENGINE_INTERPRETER_H
#define PRONY_ENGINE_INTERPRETER_H

#include <stddef.h>

#include "engine/manifest_install.h"
#include "engine/tool.h"

/* The system's own Python before the first of PATH, since it stays; then others by their version.
 * path becomes absolute. The error says which were seen, and names the Debian packages. */
enum status interpreter_find(const struct engine_install *install, const struct tool *tool,
                             char *path, size_t size, struct error *err);

#endif
