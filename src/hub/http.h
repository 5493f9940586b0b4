/* GET over libcurl as a hub needs it: resumed, tried again within limits, and with a token that
 * never leaves the server that it is for. */
#ifndef PRONY_HUB_HTTP_H
#define PRONY_HUB_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hub/url.h"

struct http_client {
    void *curl;                   /* CURL *, kept for its connections */
    const char *token;            /* or NULL */
    const char *page;             /* where a person reads about the repository, for errors */
    unsigned retries;             /* tries after the first that brought nothing */
    unsigned stall_s;             /* a transfer below 1000 bytes/s for this long counts as cut */
    bool (*go_on)(void *context); /* asked often; false ends with STATUS_INTERRUPTED */
    void (*note)(void *context, const char *text); /* why there is a wait */
    void *context;
};

/* Where a body goes. */
struct http_sink {
    uint64_t have_bytes;  /* held; when total_bytes is known, only what follows is asked for */
    uint64_t total_bytes; /* HTTP_UNKNOWN, or what the body must be: else STATUS_FORMAT */
    enum status (*restart)(struct http_sink *sink, struct error *err); /* drops what is held */
    enum status (*write)(struct http_sink *sink, const void *data, size_t bytes, struct error *err);
};
#define HTTP_UNKNOWN UINT64_MAX

enum status http_client_open(struct http_client *client, struct error *err);
void http_client_close(struct http_client *client);

/* next, if not NULL, becomes the address of the list's next page (header Link), or empty. */
enum status http_get(struct http_client *client, const char *url, struct http_sink *sink,
                     char next[HUB_URL_BYTES], struct error *err);

#endif
