#include "sdk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fd_from(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long fd = text ? strtol(text, &end, 10) : -1;
    if (fd < 0 || fd > 1 << 20 || *end || fcntl((int)fd, F_GETFD) < 0)
        return -1;
    fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* what the engine starts must not hold the pipes */
    return (int)fd;
}

bool channel_open(struct channel *channel)
{
    *channel = (struct channel){.in_fd = fd_from("PRONY_FD_IN"), .out_fd = fd_from("PRONY_FD_OUT")};
    signal(SIGPIPE, SIG_IGN);
    if (channel->in_fd >= 0 && channel->out_fd >= 0)
        return true;
    fprintf(stderr, "This program is a worker of Prony, which starts it and talks to it over the\n"
                    "pipes in PRONY_FD_IN and PRONY_FD_OUT. Try: prony engines\n");
    return false;
}

void channel_close(struct channel *channel)
{
    free(channel->bytes);
    close(channel->in_fd);
    close(channel->out_fd);
}

/* Reads once, waiting or not; false at the end of the pipe or when nothing is there. */
static bool fill(struct channel *channel, bool wait)
{
    struct pollfd fd = {.fd = channel->in_fd, .events = POLLIN};
    if (channel->used == channel->capacity) {
        size_t capacity = channel->capacity ? channel->capacity * 2 : 64 * 1024;
        char *grown = realloc(channel->bytes, capacity);
        if (!grown)
            return false;
        channel->bytes = grown;
        channel->capacity = capacity;
    }
    if (!wait && poll(&fd, 1, 0) <= 0)
        return false;
    ssize_t got;
    do
        got =
            read(channel->in_fd, channel->bytes + channel->used, channel->capacity - channel->used);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        channel->used += (size_t)got;
    return got > 0;
}

static json_t *parse(const char *line, size_t count)
{
    json_error_t problem;
    json_t *message = json_loadb(line, count, 0, &problem);
    if (json_is_object(message))
        return message;
    fprintf(stderr, "The host sent something that is no request: %s\n",
            message ? "not an object" : problem.text);
    json_decref(message);
    return NULL;
}

/* Takes the first whole line out of the buffer; *found tells whether there is one. */
static json_t *take(struct channel *channel, bool *found)
{
    char *newline = channel->used ? memchr(channel->bytes, '\n', channel->used) : NULL;
    *found = newline != NULL;
    if (!newline)
        return NULL;
    size_t count = (size_t)(newline - channel->bytes);
    json_t *message = parse(channel->bytes, count);
    channel->used -= count + 1;
    memmove(channel->bytes, newline + 1, channel->used);
    return message;
}

static bool is_cancel(const json_t *message)
{
    const char *op = json_string_value(json_object_get(message, "op"));
    return op && strcmp(op, "cancel") == 0;
}

json_t *channel_receive(struct channel *channel)
{
    for (;;) {
        bool found;
        json_t *message = take(channel, &found);
        if (message && is_cancel(message)) /* of a stream that is over */
            json_decref(message);
        else if (found)
            return message;
        else if (!fill(channel, true))
            return NULL;
    }
}

bool channel_cancelled(struct channel *channel, json_int_t id)
{
    bool found;
    json_t *message = take(channel, &found);
    if (!found && fill(channel, false))
        message = take(channel, &found);
    bool cancelled =
        message && is_cancel(message) && json_integer_value(json_object_get(message, "id")) == id;
    json_decref(message);
    return cancelled;
}

void channel_write(struct channel *channel, const char *line, size_t count)
{
    while (count > 0) {
        ssize_t wrote = write(channel->out_fd, line, count);
        if (wrote < 0 && errno != EINTR)
            return; /* the host is gone: the next read ends the service */
        if (wrote > 0) {
            line += wrote;
            count -= (size_t)wrote;
        }
    }
}

void channel_send(struct channel *channel, json_t *message)
{
    char *line = message ? json_dumps(message, JSON_COMPACT) : NULL;
    if (line) {
        size_t count = strlen(line);
        line[count] = '\n'; /* in place of the NUL */
        channel_write(channel, line, count + 1);
    } else {
        fprintf(stderr, "A reply could not be written as JSON: a text that is not UTF-8, or no "
                        "memory\n");
    }
    free(line);
    json_decref(message);
}
