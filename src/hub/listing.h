/* The files of a repository as the hub lists them, and which of them make up a model. */
#ifndef PRONY_HUB_LISTING_H
#define PRONY_HUB_LISTING_H

#include <jansson.h>
#include <stdint.h>

#include "hub/name.h"

struct hub_file {
    char path[HUB_PATH_BYTES]; /* safe: it stays inside the folder that it is put in */
    uint64_t bytes;
    bool sha256;   /* hash is the SHA-256 of the bytes; false: git's SHA-1 of the blob */
    char hash[65]; /* lower-case hex */
};

struct hub_listing {
    struct hub_file *files;
    size_t count;
};

/* Adds one page, a JSON array. STATUS_FORMAT for what is no list, and for a path that would leave
 * the folder, whether it is wanted or not: such a hub is not to be trusted. */
enum status hub_listing_add(struct hub_listing *listing, const char *text, size_t bytes,
                            struct error *err);
/* Keeps what the name means: its file, or all parts where it is one; else safetensors with their
 * configuration and tokenizer; else the only GGUF, in one file or in parts. STATUS_NOT_FOUND or
 * STATUS_USAGE says what there is. */
enum status hub_listing_select(struct hub_listing *listing, const struct hub_name *name,
                               struct error *err);
enum status hub_listing_copy(struct hub_listing *copy, const struct hub_listing *listing,
                             struct error *err);
void hub_listing_free(struct hub_listing *listing);

#endif
