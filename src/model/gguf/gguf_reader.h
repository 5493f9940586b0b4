/* The cursor that a GGUF file is parsed with; for src/model/gguf*.c alone. */
#ifndef PRONY_MODEL_GGUF_READER_H
#define PRONY_MODEL_GGUF_READER_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/gguf/gguf.h"

/* Where the parser is in the file. */
struct gguf_reader {
    const unsigned char *bytes;
    size_t size, at;
    const char *path;
    struct error *err;
};

/* Both add the place, and what to do, to an error that says what is wrong. */
enum status gguf_damaged(const struct gguf_reader *reader);
enum status gguf_unsupported(const struct gguf_reader *reader, const char *remedy);

/* Bytes after the cursor. */
size_t gguf_left(const struct gguf_reader *reader);
/* Each steps over what it reads; what names it for errors. */
enum status gguf_read_bytes(struct gguf_reader *reader, void *out, size_t bytes, const char *what);
enum status gguf_read_u32(struct gguf_reader *reader, uint32_t *value, const char *what);
enum status gguf_read_u64(struct gguf_reader *reader, uint64_t *value, const char *what);
/* A number of things, each of which takes at least so many bytes of what is left. */
enum status gguf_read_count(struct gguf_reader *reader, uint64_t *count, size_t least_bytes,
                            const char *what);
/* A key or a tensor's name, copied: 1 to limit bytes of printable ASCII. */
enum status gguf_read_name(struct gguf_reader *reader, struct arena *arena, size_t limit,
                           const char *what, const char **name);
/* Sorts names and fails on the first that occurs twice. */
enum status gguf_check_unique(const struct gguf_reader *reader, const char **names, uint64_t count,
                              const char *what);

/* The list of tensors (gguf_tensors.c): gguf->tensor_count entries, and where their data is. */
enum status gguf_read_tensors(struct gguf_reader *reader, struct gguf *gguf);

#endif
