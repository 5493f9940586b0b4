/* Takes away what engine/install.h brought. */
#ifndef PRONY_ENGINE_UNINSTALL_H
#define PRONY_ENGINE_UNINSTALL_H

#include <stdint.h>

#include "engine/manifest.h"

/* Takes a version away with its compile caches, or with version NULL all of them and what cut
 * installations left. *bytes is what that frees. An interpreter of the user's is only forgotten.
 * STATUS_NOT_FOUND when there is nothing. Waits while another process installs the engine;
 * waiting() is called once if so, a readable cancel_fd ends that. */
enum status engine_uninstall(const struct engine *engine, const char *version, int cancel_fd,
                             void (*waiting)(void *context), void *context, uint64_t *bytes,
                             struct error *err);

#endif
