/* Files: mapped for reading, replaced atomically when written; folders and free space. */
#ifndef PRONY_BASE_FILE_H
#define PRONY_BASE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

/* A file mapped read-only. data is NULL for an empty file. */
struct file_map {
    const unsigned char *data;
    size_t bytes;
};

enum status file_map_open(struct file_map *map, const char *path, struct error *err);
void file_map_close(struct file_map *map);

/* Reads a whole file of at most limit bytes into *text (malloc'd, NUL-terminated; the caller
 * frees). A larger file is STATUS_FORMAT, and so is a pipe or device, which might never end. */
enum status file_read(const char *path, size_t limit, char **text, size_t *bytes,
                      struct error *err);
/* The same of a pipe as well: for what a user has named for this. */
enum status file_read_any(const char *path, size_t limit, char **text, size_t *bytes,
                          struct error *err);

/* A file being written beside its destination: PATH.tmp.PID until file_commit renames it.
 * Between open and commit nothing is visible under the final name. */
struct file_writer {
    FILE *stream; /* write with stdio or fileno(); checked once, at commit */
    char *path, *temporary;
};

enum status file_writer_open(struct file_writer *writer, const char *path, struct error *err);
/* Flush, fsync, rename, fsync of the folder. On failure the temporary file is gone and the old
 * file, if any, is as it was. */
enum status file_writer_commit(struct file_writer *writer, struct error *err);
/* Gives up: removes the temporary file. Safe after commit, and on a zeroed writer. */
void file_writer_abort(struct file_writer *writer);

/* Makes a folder and its parents; one that exists is fine. */
enum status folder_make(const char *path, struct error *err);
/* Bytes an unprivileged user may still write on the file system that holds path (which need not
 * exist yet). */
enum status disk_free_bytes(const char *path, uint64_t *bytes, struct error *err);

/* Where Prony's folder in the user's cache is: $PRONY_CACHE, else $XDG_CACHE_HOME/prony, else
 * ~/.cache/prony. A NULL subfolder means the folder itself. */
enum status cache_path(char *path, size_t size, const char *subfolder, struct error *err);
/* The same, made when it is missing. */
enum status cache_folder(char *path, size_t size, const char *subfolder, struct error *err);

/* The absolute path without "." and links in its folders; a file keeps the name that it is given
 * by, though that be a link, for what lies beside it goes by that name. False, with errno set, when
 * there is nothing. */
bool path_resolve(const char *path, char resolved[PATH_MAX]);

bool path_is_folder(const char *path);
bool path_is_file(const char *path);
/* Whether there is something that is neither: a pipe, which waits for a writer, or a device. */
bool path_is_special(const char *path);
/* The part after the last slash. */
const char *path_base(const char *path);

#endif
