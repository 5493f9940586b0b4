/* Files of the cache that say what they are for: plans and timing caches. */
#ifndef PRONY_TENSORRT_STORED_H
#define PRONY_TENSORRT_STORED_H

#include <stddef.h>

#include "base/error.h"
#include "base/file.h"

enum { STORED_HEAD = 4096, STORED_KEY = 1024 };

/* A mapped file, and its bytes behind the head. Zeroed ones may be closed. */
struct stored {
    struct file_map map;
    const void *data;
    size_t bytes;
};

/* PATH of KIND ("plan") for a key, in a folder. */
void stored_path(char *path, size_t size, const char *folder, const char *kind, const char *key);

/* STATUS_NOT_FOUND: there is none. STATUS_FORMAT: it is damaged, or was made for something else;
 * the error says so, and how to be rid of it. */
enum status stored_open(struct stored *stored, const char *path, const char *key,
                        struct error *err);
void stored_close(struct stored *stored);

/* Whole or not at all. */
enum status stored_write(const char *path, const char *key, const void *data, size_t bytes,
                         struct error *err);

#endif
