/* Installs what an engine stands on, into an environment of its own in Prony's cache folder.
 * engine/installation.h says where things are, engine/uninstall.h takes them away.
 *
 * Only what works counts as installed: at the end the engine's worker is started and says hello. An
 * installation that was cut goes on with the files that had arrived; what is half made is never
 * used. Two installations of one engine wait for each other. */
#ifndef PRONY_ENGINE_INSTALL_H
#define PRONY_ENGINE_INSTALL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/manifest.h"

struct install_request {
    const char *version; /* NULL: the default one; with python a name of the user's choice */
    const char *python;  /* an interpreter of the user's, taken as it is; NULL: make one */
    bool gpu;            /* the machine has one: no smaller build will do */
    int cancel_fd;       /* readable: stop; -1: none */
    void (*say)(void *context, const char *line);
    /* Called a few times a second; total is about. */
    void (*progress)(void *context, const char *doing, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

enum status engine_install(const struct engine *engine, const struct install_request *request,
                           struct error *err);

#endif
