/* Gets models from a hub into the cache folder, and says where they are. */
#ifndef PRONY_HUB_HUB_H
#define PRONY_HUB_HUB_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "hub/name.h"
#include "hub/url.h"

struct hub_options {
    char endpoint[HUB_URL_BYTES];
    const char *token; /* or NULL; never printed */
    bool offline;
    unsigned retries, stall_s; /* struct http_client */
    /* Asked often, with the bytes that are there and those that will be; false stops the work. */
    bool (*report)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void (*note)(void *context, const char *text);
    void *context;
};

/* Fills endpoint, token and offline from HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. */
enum status hub_options_environment(struct hub_options *options, struct error *err);

/* Where a model is that was got before, without asking a hub. STATUS_NOT_FOUND: it is not there, or
 * not whole. */
enum status hub_find(const struct hub_name *name, char path[PATH_MAX], struct error *err);

/* What getting a model takes, by the hub's list. */
struct hub_need {
    uint64_t total_bytes, missing_bytes; /* of the model; of them still to come */
    uint64_t free_bytes;                 /* on the disk that it goes to */
    char folder[PATH_MAX];
};
enum status hub_need(const struct hub_name *name, const struct hub_options *options,
                     struct hub_need *need, struct error *err);

/* Makes sure that the model is there, whole and as the hub lists it, and gives its path: a GGUF
 * file or a folder. What is there already is checked, not fetched. One process at a time fetches
 * from a repository; others wait. bytes is the model's size, fetched_bytes what came now. Offline,
 * what is there counts. */
enum status hub_get(const struct hub_name *name, const struct hub_options *options,
                    char path[PATH_MAX], uint64_t *bytes, uint64_t *fetched_bytes,
                    struct error *err);

#endif
