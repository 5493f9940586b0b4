#include "hub/http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { REDIRECT_LIMIT = 10, WAIT_LIMIT_S = 120, LOW_SPEED_BYTES = 1000 };
/* So much in one try counts as headway: the count of tries starts again. */
static const uint64_t headway_bytes = 1 << 20;
/* Bodies of redirects and errors are thrown away; past this the connection is closed. */
static const uint64_t discard_bytes = 1 << 20;

/* One request; a redirect makes another one of the same try. */
struct exchange {
    struct http_client *client;
    struct http_sink *sink;
    struct error *err;
    char url[HUB_URL_BYTES];
    uint64_t discarded;
    bool began, sink_failed, stopped;
    bool away;      /* has left the server that it started at: no token any more */
    bool transient; /* the failure may pass */
    long wait_s;    /* what Retry-After asked for; 0: nothing */
};

enum status http_client_open(struct http_client *client, struct error *err)
{
    for (const char *c = client->token ? client->token : ""; *c; c++)
        if (*c <= ' ' || *c >= 0x7f) {
            error_set(err, STATUS_USAGE, "HF_TOKEN holds characters that no token has");
            return error_remedy(err, "Set it again, without spaces and line ends, or unset it.");
        }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client->curl = curl_easy_init()))
        return error_set(err, STATUS_IO, "libcurl does not start");
    return STATUS_OK;
}

void http_client_close(struct http_client *client)
{
    curl_easy_cleanup(client->curl);
    client->curl = NULL;
}

static bool go_on(const struct http_client *client)
{
    return !client->go_on || client->go_on(client->context);
}

static const char *header_of(CURL *curl, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value
                                                                                   : NULL;
}

static enum status size_differs(struct exchange *x, uint64_t bytes)
{
    error_set(x->err, STATUS_FORMAT,
              "the file is %" PRIu64 " bytes or more, and %" PRIu64 " in the hub's list", bytes,
              x->sink->total_bytes);
    return error_remedy(x->err, "It may have changed just now. Try again.");
}

/* The first bytes of a good answer are there: do they belong where they are to go? */
static enum status body_begin(struct exchange *x, long code)
{
    struct http_sink *sink = x->sink;
    const char *range = header_of(x->client->curl, "Content-Range");
    uint64_t from, to, total;
    curl_off_t length = -1;
    if (code == 206) {
        if (!range ||
            sscanf(range, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &from, &to, &total) != 3 ||
            from != sink->have_bytes)
            return error_set(x->err, STATUS_FORMAT, "the answer is another part than asked for");
        return total == sink->total_bytes ? STATUS_OK : size_differs(x, total);
    }
    curl_easy_getinfo(x->client->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length > 0 && sink->total_bytes != HTTP_UNKNOWN && (uint64_t)length > sink->total_bytes)
        return size_differs(x, (uint64_t)length);
    return sink->have_bytes ? sink->restart(sink, x->err) : STATUS_OK;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    size_t bytes = size * count;
    long code = 0;
    enum status status = STATUS_OK;
    curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) {
        x->discarded += bytes;
        return x->discarded > discard_bytes ? 0 : bytes;
    }
    if (!x->began)
        status = body_begin(x, code);
    x->began = true;
    if (!status && x->sink->total_bytes != HTTP_UNKNOWN &&
        bytes > x->sink->total_bytes - x->sink->have_bytes)
        status = size_differs(x, x->sink->have_bytes + bytes);
    if (!status)
        status = x->sink->write(x->sink, data, bytes, x->err);
    x->sink_failed = status != STATUS_OK;
    return status ? 0 : bytes;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up)
{
    struct exchange *x = context;
    (void)total, (void)now, (void)up_total, (void)up;
    x->stopped = !go_on(x->client);
    return x->stopped;
}

/* Performs one request, without following anything. */
static CURLcode perform(struct exchange *x)
{
    CURL *curl = x->client->curl;
    struct curl_slist *headers = NULL;
    char text[1024];
    curl_easy_reset(curl);
    x->began = x->sink_failed = false;
    x->discarded = 0;
    if (x->client->token && !x->away) {
        if (snprintf(text, sizeof text, "Authorization: Bearer %s", x->client->token) <
            (int)sizeof text)
            headers = curl_slist_append(NULL, text);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    if (x->sink->have_bytes > 0) {
        snprintf(text, sizeof text, "%" PRIu64 "-", x->sink->have_bytes);
        curl_easy_setopt(curl, CURLOPT_RANGE, text);
    }
    curl_easy_setopt(curl, CURLOPT_URL, x->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "prony/" PRONY_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)x->client->stall_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)x->client->stall_s);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return result;
}

/* A number of seconds; the other form, a date, counts as none. */
static long retry_after(CURL *curl)
{
    const char *text = header_of(curl, "Retry-After");
    return text && strspn(text, "0123456789") == strlen(text) ? strtol(text, NULL, 10) : 0;
}

static enum status gate_closed(struct exchange *x, long code)
{
    const char *page = x->client->page;
    if (code == 403) {
        error_set(x->err, STATUS_IO, "the hub keeps this model from you (403)");
        return error_remedy(x->err,
                            "Its licence has to be accepted first: open %s, accept it, and "
                            "set HF_TOKEN to a token of that account that may read it.",
                            page);
    }
    if (x->client->token) {
        error_set(x->err, STATUS_IO, "the hub does not take the token in HF_TOKEN (401)");
        return error_remedy(x->err,
                            "Make a new one in your account on the hub; see %s for the "
                            "model's licence.",
                            page);
    }
    error_set(x->err, STATUS_IO,
              "the hub wants to know who asks (401): the model has a licence to "
              "accept, is private, or does not exist");
    return error_remedy(x->err,
                        "Open %s, accept the licence, and set HF_TOKEN to a token of that "
                        "account.",
                        page);
}

/* An answer that is neither a body nor a redirect. */
static enum status answer_refused(struct exchange *x, long code)
{
    if (code == 429 || code >= 500 || code == 408 || (code == 403 && x->away)) {
        x->transient = true;
        x->wait_s = retry_after(x->client->curl);
        error_set(x->err, STATUS_IO,
                  code == 429 ? "the hub is asked too often (429)"
                              : "the hub cannot answer now (%ld)",
                  code);
        if (x->wait_s > 0)
            return error_remedy(x->err, "Try again in %ld seconds.", x->wait_s);
        return error_remedy(x->err, "Try again later: what has arrived is kept.");
    }
    if (code == 401 || code == 403)
        return gate_closed(x, code);
    if (code == 404) {
        error_set(x->err, STATUS_NOT_FOUND, "the hub has nothing of that name (404)");
        return error_remedy(x->err, "Look at %s.", x->client->page);
    }
    if (code == 416 && x->sink->have_bytes > 0) {
        x->transient = true;
        return x->sink->restart(x->sink, x->err)
                   ? x->err->status
                   : error_set(x->err, STATUS_IO, "the hub has no such part (416)");
    }
    error_set(x->err, STATUS_PROTOCOL, "the hub answers with status %ld", code);
    return error_remedy(x->err, "Is HF_ENDPOINT the address of a model hub?");
}

/* Takes the address that a redirect names. */
static enum status follow(struct exchange *x)
{
    char *to = NULL;
    curl_easy_getinfo(x->client->curl, CURLINFO_REDIRECT_URL, &to);
    if (!to || strlen(to) >= sizeof x->url)
        return error_set(x->err, STATUS_PROTOCOL, "a redirect leads nowhere");
    if (strncasecmp(to, "http://", 7) != 0 && strncasecmp(to, "https://", 8) != 0)
        return error_set(x->err, STATUS_PROTOCOL, "a redirect leads away from http");
    if (hub_is_downgrade(x->url, to))
        return error_set(x->err, STATUS_PROTOCOL, "a redirect leads from https to http");
    if (!hub_same_origin(x->url, to))
        x->away = true;
    snprintf(x->url, sizeof x->url, "%s", to);
    return STATUS_OK;
}

/* What a finished transfer came to. */
static enum status conclude(struct exchange *x, CURLcode result)
{
    struct http_sink *sink = x->sink;
    long code = 0;
    if (x->stopped)
        return error_set(x->err, STATUS_INTERRUPTED, "interrupted");
    if (x->sink_failed)
        return x->err->status;
    curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code >= 300)
        return answer_refused(x, code);
    bool known = sink->total_bytes != HTTP_UNKNOWN;
    if (result == CURLE_OK && (code == 200 || code == 206)) {
        if (!known || sink->have_bytes == sink->total_bytes)
            return STATUS_OK;
        x->transient = true;
        return error_set(x->err, STATUS_IO, "the transfer ended %" PRIu64 " bytes early",
                         sink->total_bytes - sink->have_bytes);
    }
    x->transient = result != CURLE_PEER_FAILED_VERIFICATION &&
                   result != CURLE_UNSUPPORTED_PROTOCOL && result != CURLE_URL_MALFORMAT;
    error_set(x->err, STATUS_IO, "the transfer failed: %s",
              result ? curl_easy_strerror(result) : "an answer without a meaning");
    return error_remedy(x->err, known ? "Run the same command again: it goes on where it stopped."
                                      : "Check the network, the proxy and HF_ENDPOINT.");
}

/* One try, with its redirects. */
static enum status try_once(struct exchange *x, const char *url)
{
    char host[300];
    enum status status = STATUS_OK;
    snprintf(x->url, sizeof x->url, "%s", url);
    x->away = x->transient = false;
    x->wait_s = 0;
    if (x->sink->total_bytes == HTTP_UNKNOWN && x->sink->restart(x->sink, x->err))
        return x->err->status;
    for (int hops = 0;; hops++) {
        long code = 0;
        CURLcode result = perform(x);
        curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &code);
        if (code < 301 || code > 308 || code == 304 || x->stopped) {
            status = conclude(x, result);
            break;
        }
        status = hops < REDIRECT_LIMIT
                     ? follow(x)
                     : error_set(x->err, STATUS_PROTOCOL, "more than %d redirects: a loop",
                                 REDIRECT_LIMIT);
        if (status)
            break;
    }
    if (status && !x->sink_failed) {
        hub_url_host(x->url, host, sizeof host);
        error_where(x->err, x->away ? "%s, for %s" : "%.0s%s", host, url);
    }
    return status;
}

/* Sleeps; false when asked to stop. */
static bool wait_ms(struct http_client *client, long ms, const struct error *err)
{
    char text[600];
    const struct timespec slice = {.tv_nsec = 50 * 1000000};
    snprintf(text, sizeof text, "Trying again in %.1f s: %s", (double)ms / 1000, err->what);
    if (client->note)
        client->note(client->context, text);
    for (long done = 0; done < ms && go_on(client); done += 50)
        nanosleep(&slice, NULL);
    return go_on(client);
}

/* Link: <https://...>; rel="next", and only on the same server. */
static void next_page(CURL *curl, const char *url, char next[HUB_URL_BYTES])
{
    const char *link = header_of(curl, "Link");
    const char *end = link && *link == '<' ? strchr(link, '>') : NULL;
    next[0] = '\0';
    if (!end || !strstr(end, "rel=\"next\"") || end - link >= HUB_URL_BYTES)
        return;
    snprintf(next, HUB_URL_BYTES, "%.*s", (int)(end - link - 1), link + 1);
    if (!hub_same_origin(url, next))
        next[0] = '\0';
}

enum status http_get(struct http_client *client, const char *url, struct http_sink *sink,
                     char next[HUB_URL_BYTES], struct error *err)
{
    struct exchange x = {.client = client, .sink = sink, .err = err};
    unsigned tries = 0;
    for (;;) {
        uint64_t held = sink->have_bytes;
        enum status status = try_once(&x, url);
        if (!status)
            break;
        if (sink->total_bytes != HTTP_UNKNOWN && sink->have_bytes >= held + headway_bytes)
            tries = 0;
        if (!x.transient || tries >= client->retries || x.wait_s > WAIT_LIMIT_S)
            return status;
        long backoff_ms = 250L << (tries < 7 ? tries : 7);
        tries++;
        if (!wait_ms(client, x.wait_s > 0 ? x.wait_s * 1000 : backoff_ms, err))
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
    if (next)
        next_page(client->curl, url, next);
    return STATUS_OK;
}
