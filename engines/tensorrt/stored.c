#include "stored.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const char magic[] = "prony-tensorrt 1";

enum { ENDS = 1 << 20 }; /* what is summed at the beginning and at the end: a plan has gigabytes */

/* FNV-1a */
static uint64_t sum(uint64_t hash, const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ data[i]) * 0x100000001b3u;
    return hash;
}

static const uint64_t start = 0xcbf29ce484222325u;

static uint64_t sum_ends(const unsigned char *data, size_t bytes)
{
    size_t first = bytes < ENDS ? bytes : ENDS, last = bytes - first < ENDS ? bytes - first : ENDS;
    return sum(sum(start, data, first), data + bytes - last, last);
}

void stored_path(char *path, size_t size, const char *folder, const char *kind, const char *key)
{
    snprintf(path, size, "%s/%016" PRIx64 ".%s", folder,
             sum(start, (const unsigned char *)key, strlen(key)), kind);
}

static void head_make(char head[STORED_HEAD], const char *key, const void *data, size_t bytes)
{
    memset(head, 0, STORED_HEAD);
    snprintf(head, STORED_HEAD, "%s\n%s\n%zu %016" PRIx64 "\n", magic, key, bytes,
             sum_ends(data, bytes));
}

/* What the file says that it was made for; "" when it says nothing. */
static const char *key_of(const struct stored *stored, char key[STORED_KEY])
{
    size_t prefix = sizeof magic; /* with the line's end */
    *key = '\0';
    if (stored->map.bytes >= STORED_HEAD && memcmp(stored->map.data, magic, sizeof magic - 1) == 0)
        snprintf(key, STORED_KEY, "%.*s",
                 (int)strcspn((const char *)stored->map.data + prefix, "\n"),
                 (const char *)stored->map.data + prefix);
    return key;
}

enum status stored_open(struct stored *stored, const char *path, const char *key, struct error *err)
{
    char head[STORED_HEAD], theirs[STORED_KEY];
    *stored = (struct stored){0};
    if (access(path, F_OK) != 0)
        return error_set(err, STATUS_NOT_FOUND, "there is no %s", path);
    enum status status = file_map_open(&stored->map, path, err);
    if (status)
        return status;
    key_of(stored, theirs);
    if (*theirs && strcmp(theirs, key) != 0) {
        error_set(err, STATUS_FORMAT, "a file of TensorRT's cache was made for something else: %s",
                  theirs);
    } else {
        stored->data = stored->map.data + STORED_HEAD;
        stored->bytes = *theirs ? stored->map.bytes - STORED_HEAD : 0;
        head_make(head, key, stored->data, stored->bytes);
        if (*theirs && memcmp(head, stored->map.data, STORED_HEAD) == 0)
            return STATUS_OK;
        error_set(err, STATUS_FORMAT, "a file of TensorRT's cache is damaged");
    }
    stored_close(stored);
    error_where(err, "%s", path);
    return error_remedy(err, "Remove it, and it is made anew: rm %s", path);
}

void stored_close(struct stored *stored)
{
    file_map_close(&stored->map);
    *stored = (struct stored){0};
}

enum status stored_write(const char *path, const char *key, const void *data, size_t bytes,
                         struct error *err)
{
    struct file_writer writer = {0};
    char head[STORED_HEAD];
    enum status status = file_writer_open(&writer, path, err);
    if (status)
        return status;
    head_make(head, key, data, bytes);
    if (fwrite(head, 1, STORED_HEAD, writer.stream) != STORED_HEAD ||
        fwrite(data, 1, bytes, writer.stream) != bytes)
        status = error_errno(err, "write %s", path);
    if (status)
        file_writer_abort(&writer);
    return status ? status : file_writer_commit(&writer, err);
}
