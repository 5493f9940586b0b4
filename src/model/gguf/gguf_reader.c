#include "model/gguf/gguf_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum status gguf_damaged(const struct gguf_reader *reader)
{
    error_where(reader->err, "%s, byte %zu", reader->path, reader->at);
    return error_remedy(reader->err,
                        "The file is damaged or incomplete: fetch or convert it again.");
}

enum status gguf_unsupported(const struct gguf_reader *reader, const char *remedy)
{
    error_where(reader->err, "%s, byte %zu", reader->path, reader->at);
    return error_remedy(reader->err, "%s", remedy);
}

size_t gguf_left(const struct gguf_reader *reader)
{
    return reader->size - reader->at;
}

enum status gguf_read_bytes(struct gguf_reader *reader, void *out, size_t bytes, const char *what)
{
    if (gguf_left(reader) < bytes) {
        error_set(reader->err, STATUS_FORMAT, "the file ends inside %s", what);
        return gguf_damaged(reader);
    }
    memcpy(out, reader->bytes + reader->at, bytes);
    reader->at += bytes;
    return STATUS_OK;
}

enum status gguf_read_u32(struct gguf_reader *reader, uint32_t *value, const char *what)
{
    return gguf_read_bytes(reader, value, sizeof *value, what);
}

enum status gguf_read_u64(struct gguf_reader *reader, uint64_t *value, const char *what)
{
    return gguf_read_bytes(reader, value, sizeof *value, what);
}

enum status gguf_read_count(struct gguf_reader *reader, uint64_t *count, size_t least_bytes,
                            const char *what)
{
    *count = 0;
    if (gguf_read_u64(reader, count, what))
        return reader->err->status;
    if (*count > gguf_left(reader) / least_bytes) {
        reader->at -= sizeof *count;
        error_set(reader->err, STATUS_FORMAT,
                  "%s is %" PRIu64 ", more than the rest of the file (%zu bytes) can hold", what,
                  *count, gguf_left(reader));
        return gguf_damaged(reader);
    }
    return STATUS_OK;
}

enum status gguf_read_name(struct gguf_reader *reader, struct arena *arena, size_t limit,
                           const char *what, const char **name)
{
    uint64_t bytes = 0;
    if (gguf_read_count(reader, &bytes, 1, what))
        return reader->err->status;
    if (bytes == 0 || bytes > limit) {
        error_set(reader->err, STATUS_FORMAT, "%s is %" PRIu64 "; it should be 1 to %zu", what,
                  bytes, limit);
        return gguf_damaged(reader);
    }
    const unsigned char *text = reader->bytes + reader->at;
    for (uint64_t i = 0; i < bytes; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            reader->at += i;
            error_set(reader->err, STATUS_FORMAT,
                      "a name has the byte 0x%02x, which is not printable ASCII", text[i]);
            return gguf_damaged(reader);
        }
    }
    *name = arena_strndup(arena, (const char *)text, bytes);
    reader->at += bytes;
    return *name ? STATUS_OK : error_no_memory(reader->err, bytes);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum status gguf_check_unique(const struct gguf_reader *reader, const char **names, uint64_t count,
                              const char *what)
{
    qsort(names, count, sizeof *names, compare_names);
    for (uint64_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            error_set(reader->err, STATUS_FORMAT, "%s \"%.200s\" occurs twice", what, names[i]);
            return gguf_damaged(reader);
        }
    }
    return STATUS_OK;
}
