#include "hub/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

/* Where models come from unless HF_ENDPOINT says otherwise; named nowhere else. */
static const char default_endpoint[] = "https://huggingface.co";

enum { ENDPOINT_LIMIT = 512 };

static enum status endpoint_refuse(const char *why, struct error *err)
{
    error_set(err, STATUS_USAGE, "HF_ENDPOINT %s", why);
    return error_remedy(err, "Set it to an address like https://HOST, or unset it.");
}

enum status hub_endpoint_parse(char endpoint[HUB_URL_BYTES], const char *text, struct error *err)
{
    enum status status = STATUS_OK;
    if (!text || !*text)
        text = default_endpoint;
    if (strlen(text) > ENDPOINT_LIMIT)
        return endpoint_refuse("is too long", err);
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("\"<>\\?#@", *c))
            return endpoint_refuse("holds more than a host and a path", err);
    if (strncasecmp(text, "https://", 8) != 0 && strncasecmp(text, "http://", 7) != 0)
        return endpoint_refuse("does not start with https:// or http://", err);
    CURLU *url = curl_url();
    if (!url)
        return error_no_memory(err, sizeof(void *));
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        status = endpoint_refuse("is no address", err);
    curl_url_cleanup(url);
    if (status)
        return status;
    snprintf(endpoint, HUB_URL_BYTES, "%s", text);
    for (size_t n = strlen(endpoint); n > 0 && endpoint[n - 1] == '/'; n--)
        endpoint[n - 1] = '\0';
    return STATUS_OK;
}

void hub_url_tree(char url[HUB_URL_BYTES], const char *endpoint, const char *repo)
{
    snprintf(url, HUB_URL_BYTES, "%s/api/models/%s/tree/main?recursive=1", endpoint, repo);
}

void hub_url_file(char url[HUB_URL_BYTES], const char *endpoint, const char *repo, const char *path)
{
    size_t used = (size_t)snprintf(url, HUB_URL_BYTES, "%s/%s/resolve/main/", endpoint, repo);
    for (const char *c = path; *c && used + 4 < HUB_URL_BYTES; c++) {
        bool plain = isalnum((unsigned char)*c) || strchr("-_.~/", *c);
        used += (size_t)snprintf(url + used, HUB_URL_BYTES - used, plain ? "%c" : "%%%02X",
                                 (unsigned char)*c);
    }
}

/* The parts of a URL that make its origin; empty ones when it is none. */
struct origin {
    char scheme[16], host[256], port[8];
};

static void part_copy(CURLU *url, CURLUPart part, char *text, size_t size)
{
    char *value = NULL;
    if (curl_url_get(url, part, &value, CURLU_DEFAULT_PORT) == CURLUE_OK)
        snprintf(text, size, "%s", value);
    curl_free(value);
}

static struct origin origin_of(const char *text)
{
    struct origin origin = {0};
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) {
        part_copy(url, CURLUPART_SCHEME, origin.scheme, sizeof origin.scheme);
        part_copy(url, CURLUPART_HOST, origin.host, sizeof origin.host);
        part_copy(url, CURLUPART_PORT, origin.port, sizeof origin.port);
    }
    curl_url_cleanup(url);
    return origin;
}

bool hub_same_origin(const char *a, const char *b)
{
    struct origin x = origin_of(a), y = origin_of(b);
    return x.host[0] && strcasecmp(x.scheme, y.scheme) == 0 && strcasecmp(x.host, y.host) == 0 &&
           strcmp(x.port, y.port) == 0;
}

bool hub_is_downgrade(const char *from, const char *to)
{
    return strcasecmp(origin_of(from).scheme, "https") == 0 &&
           strcasecmp(origin_of(to).scheme, "https") != 0;
}

void hub_url_host(const char *url, char *host, size_t size)
{
    struct origin origin = origin_of(url);
    snprintf(host, size, "%s:%s", origin.host, origin.port);
}
