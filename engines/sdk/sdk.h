/* What the parts of the C SDK share. Engines include <prony/worker.h> alone. */
#ifndef PRONY_SDK_H
#define PRONY_SDK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <prony/worker.h>

/* The two pipes to the host, and the bytes of requests that have arrived. Zero-initialise. */
struct channel {
    int in_fd, out_fd;
    char *bytes;
    size_t used, capacity;
};

/* Finds the pipes; false, after a word on stderr, when no host started this process. */
bool channel_open(struct channel *channel);
void channel_close(struct channel *channel);
/* Waits for the next request; NULL at the end of the pipe. A line that is no JSON object ends the
 * process's service too, after a word on stderr. */
json_t *channel_receive(struct channel *channel);
/* Sends a message, whose reference it takes. */
void channel_send(struct channel *channel, json_t *message);
/* Sends bytes that are a line already. */
void channel_write(struct channel *channel, const char *line, size_t count);
/* Looks, without waiting, whether the host cancels request id. */
bool channel_cancelled(struct channel *channel, json_int_t id);

/* The process's own memory: PSS, and VmHWM as its peak. */
void memory_of_process(struct prony_memory *memory);

/* Members of a request: "" and 0 where they are missing. */
const char *string_of(const json_t *request, const char *key);
uint32_t count_of(const json_t *request, const char *key);
double number_of(const json_t *request, const char *key, double otherwise);

#endif
