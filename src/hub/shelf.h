/* The models that were got from hubs: what there is, and taking it away. */
#ifndef PRONY_HUB_SHELF_H
#define PRONY_HUB_SHELF_H

#include <stdint.h>

#include "hub/name.h"

struct hub_kept {
    const char *repo; /* "org/repo" */
    const char *path; /* its folder */
    uint64_t files, bytes;
    uint64_t part_files, part_bytes; /* of fetches that were cut */
};

/* Calls each with every repository of which there is something. */
enum status hub_shelf_walk(void (*each)(void *context, const struct hub_kept *kept), void *context,
                           struct error *err);

/* Removes the file that a name means (all parts where it is one), with what a cut fetch left of it,
 * or all of a repository. bytes is what that frees. STATUS_NOT_FOUND when there is nothing;
 * STATUS_IO while a process is fetching from it. */
enum status hub_shelf_remove(const struct hub_name *name, uint64_t *bytes, struct error *err);

#endif
