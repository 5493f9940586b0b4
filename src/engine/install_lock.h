/* One process at a time installs an engine, or takes it away. */
#ifndef PRONY_ENGINE_INSTALL_LOCK_H
#define PRONY_ENGINE_INSTALL_LOCK_H

#include "base/error.h"

/* Waits for the lock of the engine NAME; waiting() is called once if it has to. *fd is the
 * caller's: closing it gives the lock back. A readable cancel_fd ends the wait: STATUS_INTERRUPTED.
 */
enum status install_lock(const char *name, int cancel_fd, void (*waiting)(void *context),
                         void *context, int *fd, struct error *err);

#endif
