/* Installs what an engine stands on, into an environment of its own in Prony's cache folder. */
#ifndef PRONY_ENGINE_INSTALL_H
#define PRONY_ENGINE_INSTALL_H

#include "engine/manifest.h"

struct install_request {
    const char *version; /* NULL: the default one */
    int cancel_fd;       /* readable: stop; -1: none */
    void (*say)(void *context, const char *line);
    void *context;
};

/* On failure nothing counts as installed that did not before. */
enum status engine_install(const struct engine *engine, const struct install_request *request,
                           struct error *err);

#endif
