/* An installation in the making, and the ways to make it: packages (engine/install_packages.c), a
 * build (engine/install_built.c). engine/install.c picks one. */
#ifndef PRONY_ENGINE_INSTALL_WORK_H
#define PRONY_ENGINE_INSTALL_WORK_H

#include <limits.h>

#include "engine/install.h"
#include "engine/installation.h"
#include "engine/worker.h"

/* One installation in the making. */
struct work {
    const struct engine *engine;
    const struct install_request *request;
    const struct engine_version *version; /* NULL: something of the user's */
    const char *name;                     /* of the version */
    char folder[PATH_MAX];                /* engines/NAME/VERSION */
    char environment[PATH_MAX + 64], downloads[PATH_MAX + 64], python[PATH_MAX + 64];
    char log_path[PATH_MAX + 64];
    char empty[PATH_MAX + 64]; /* there while nothing was put into the environment */
    char own[PATH_MAX];        /* a build of the user's to stand on; "": none */
    int lock_fd;
    struct arena arena;
};

void work_say(const struct work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A name for what is the user's cannot be taken for a version, and makes a folder. */
enum status work_name_check(const char *name, struct error *err);
/* Starts the worker as it would be, and ends it: what it answers stands for all that it needs. */
enum status work_greet(struct work *work, const struct installation *installation,
                       struct worker_hello *hello, struct error *err);
/* Whether the disk has room for so much beside the downloads that are there. */
enum status work_space_check(const struct work *work, uint64_t need, struct error *err);
/* Has all written files on the disk: a stamp must not outlive a power cut that they do not. */
enum status work_flush(const struct work *work, struct error *err);

/* Installs work->version's packages. */
enum status install_packages(struct work *work, struct error *err);
/* Takes an interpreter of the user's. */
enum status install_interpreter(struct work *work, struct error *err);

/* Builds work->version, or what stands on work->own. The folder of the version is there. */
enum status install_built(struct work *work, struct error *err);
/* Looks for a build of the user's, and puts it into work->own. */
enum status install_built_find(struct work *work, struct error *err);

#endif
