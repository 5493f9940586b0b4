/* One file: fetched beside its place, resumed, checked against its hash, then renamed. */
#ifndef PRONY_HUB_FETCH_H
#define PRONY_HUB_FETCH_H

#include "hub/http.h"
#include "hub/listing.h"

/* Told of every byte that is written; may stop the work by the client's go_on. */
struct fetch_count {
    void (*add)(void *context, int64_t bytes); /* negative: dropped again */
    void *context;
};

/* Whether path has these bytes already. Reads the whole file. */
enum status fetch_check(const struct hub_file *file, const char *path,
                        const struct http_client *client, bool *same, struct error *err);
/* Bytes that an earlier, cut fetch left; they are in PATH.part.HASH, so that a file that has
 * changed on the hub is never continued. */
uint64_t fetch_held_bytes(const struct hub_file *file, const char *path);
/* Fetches url to path. What arrived before a failure is kept for the next time, unless it is not
 * what the list says. */
enum status fetch_file(struct http_client *client, const struct hub_file *file, const char *url,
                       const char *path, const struct fetch_count *count, struct error *err);

#endif
