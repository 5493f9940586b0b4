/* The Python packages of one environment: fetched by its pip from wherever the user's pip gets
 * them, kept file by file, then installed from what was kept, without a network. */
#ifndef PRONY_ENGINE_PACKAGES_H
#define PRONY_ENGINE_PACKAGES_H

#include <stdint.h>

#include "engine/requirements.h"

struct packages {
    const char *folder;      /* working folder, for scratch files */
    const char *python;      /* the environment's interpreter */
    const char *environment; /* its folder */
    const char *downloads;   /* what is kept until the end */
    const char *log_path;
    const struct requirement *list;
    size_t count;
    uint64_t download_bytes, disk_bytes; /* about, for the progress */
    int cancel_fd;
    /* Called a few times a second; as in engine/install.h. */
    void (*progress)(void *context, const char *doing, int percent, const char *how_far);
    void *context;
};

/* Fetches what is not there yet. STATUS_NOT_FOUND: the indexes do not have a package.
 * STATUS_FORMAT: a file is not the one that its hash says, and is not kept. */
enum status packages_download(const struct packages *packages, struct error *err);
/* Fills the environment. */
enum status packages_install(const struct packages *packages, struct error *err);

#endif
