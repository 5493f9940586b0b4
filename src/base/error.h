/* What went wrong, where, and what to do about it.
 *
 * A function that can fail returns an enum status and, when it is not STATUS_OK, has filled the
 * caller's struct error. Printed as: "Error: WHAT (WHERE). REMEDY". */
#ifndef PRONY_BASE_ERROR_H
#define PRONY_BASE_ERROR_H

#include <stdbool.h>
#include <stdio.h>

enum status {
    STATUS_OK = 0,
    STATUS_USAGE,       /* an option or argument is wrong */
    STATUS_NOT_FOUND,   /* a file, engine, variant or run is not there */
    STATUS_IO,          /* the system refused to read or write */
    STATUS_FORMAT,      /* a file or message is not what it claims to be */
    STATUS_UNSUPPORTED, /* well-formed, but not something this program can do */
    STATUS_NO_MEMORY,
    STATUS_PROTOCOL, /* a worker broke the protocol */
    STATUS_WORKER,   /* a worker reported an error of its own, or died */
    STATUS_TIMEOUT,
    STATUS_INTERRUPTED /* the user pressed Ctrl-C */
};

struct error {
    enum status status;
    char what[512];
    char where[512];
    char remedy[384];
};

/* Starts an error: what happened. Clears where and remedy. Returns status, so that a function can
 * end with `return error_set(...)`. Text that does not fit is cut, and control characters in it
 * become '?'. err may not be NULL. */
enum status error_set(struct error *err, enum status status, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds where it happened: a path, with offset or key. Returns err->status. */
enum status error_where(struct error *err, const char *where, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds what the user can do, as a sentence. Returns err->status. */
enum status error_remedy(struct error *err, const char *remedy, ...)
    __attribute__((format(printf, 2, 3)));

/* The same from errno: "cannot DOING: strerror(errno)". */
enum status error_errno(struct error *err, const char *doing, ...)
    __attribute__((format(printf, 2, 3)));

/* Out of memory, with the amount that was asked for. */
enum status error_no_memory(struct error *err, size_t bytes);

/* Writes the one line "Error: ...\n" to a stream. */
void error_print(const struct error *err, FILE *stream);

/* The same line without "Error: ", in the arena; without memory it is a literal that says so. */
struct arena;
const char *error_line(const struct error *err, struct arena *arena);

/* The name of a status, for JSON and logs: "ok", "usage", "not_found", ... */
const char *status_name(enum status status);

#endif
