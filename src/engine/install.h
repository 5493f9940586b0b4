/* Installs what an engine stands on, into a folder of its own in Prony's cache folder: Python
 * packages into an environment, or what the script in the engine's folder builds.
 * engine/installation.h says where things are, engine/uninstall.h takes them away.
 *
 * Only what works counts as installed: at the end the engine's worker is started and says hello. An
 * installation that was cut goes on with the files that had arrived; what is half made is never
 * used. Two installations of one engine wait for each other. */
#ifndef PRONY_ENGINE_INSTALL_H
#define PRONY_ENGINE_INSTALL_H

#include <stdbool.h>

#include "engine/manifest.h"

struct install_request {
    /* NULL: the default one, or a build of the user's that is found; with python or own a name of
     * the user's choice. */
    const char *version;
    const char *python; /* an interpreter of the user's, taken as it is; NULL: make one */
    const char *own;    /* a build of the user's to stand on; NULL: see version */
    unsigned threads;   /* compilers at a time; 0: as many as there are processors */
    bool gpu;           /* the machine has one: no smaller build will do */
    int cancel_fd;      /* readable: stop; -1: none */
    void (*say)(void *context, const char *line);
    /* Called a few times a second; percent is -1 when it is not known. */
    void (*progress)(void *context, const char *doing, int percent, const char *how_far);
    void *context;
};

enum status engine_install(const struct engine *engine, const struct install_request *request,
                           struct error *err);

#endif
