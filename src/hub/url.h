/* Addresses on a hub, and whether two of them are the same server. */
#ifndef PRONY_HUB_URL_H
#define PRONY_HUB_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { HUB_URL_BYTES = 4096 };

/* Takes $HF_ENDPOINT's text, or NULL for the default hub, without slashes at its end. Refuses what
 * is not http(s)://host[:port][/path], and names or passwords in it. */
enum status hub_endpoint_parse(char endpoint[HUB_URL_BYTES], const char *text, struct error *err);

/* The list of a repository's files, with sizes and hashes. */
void hub_url_tree(char url[HUB_URL_BYTES], const char *endpoint, const char *repo);
/* A file of it; what a URL cannot hold is percent-encoded. */
void hub_url_file(char url[HUB_URL_BYTES], const char *endpoint, const char *repo,
                  const char *path);

/* Same scheme, host and port: a token for the one may be sent to the other. */
bool hub_same_origin(const char *a, const char *b);
/* From https to http: what was private would not be any longer. */
bool hub_is_downgrade(const char *from, const char *to);
/* "host" or "host:port" for errors: the rest may hold signatures. */
void hub_url_host(const char *url, char *host, size_t size);

#endif
