/* What a model that was fetched whole is made of, written beside it: so that it is known without
 * the network whether all of it is there. */
#ifndef PRONY_HUB_INVENTORY_H
#define PRONY_HUB_INVENTORY_H

#include <limits.h>
#include <stdbool.h>

#include "hub/listing.h"

/* The file's name in the repository's folder. */
#define INVENTORY_NAME ".files"

/* Says that the folder holds all of these. */
enum status inventory_write(const char *folder, const struct hub_listing *listing,
                            struct error *err);
/* Before anything of the folder changes: it may soon be whole no more. */
void inventory_remove(const char *folder);
/* Whether all that was written down is still there in its size; path is then the model's own: its
 * GGUF (of several parts the first), else the folder. What cannot be read counts as nothing. */
bool inventory_find(const char *folder, char path[PATH_MAX]);

#endif
