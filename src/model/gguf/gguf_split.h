/* A GGUF model in parts, as llama.cpp's gguf-split makes them: NAME-00001-of-00003.gguf and so on,
 * each a whole GGUF file with some of the tensors. The first has the metadata; all say in split.no,
 * split.count and split.tensors.count which part of what they are. */
#ifndef PRONY_MODEL_GGUF_SPLIT_H
#define PRONY_MODEL_GGUF_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/gguf/gguf.h"

enum {
    GGUF_MAX_PARTS = UINT16_MAX, /* split.count has 16 bits */
    GGUF_PART_TAIL = 20 /* bytes of "-00001-of-00003.gguf", with which a part's name ends */
};

/* What a file's name says: which part, from 1 on, of how many. False when it says nothing. */
bool gguf_part_name(const char *path, uint32_t *number, uint32_t *count);
/* The path of another part than that of the path, whose name says that it is one. */
void gguf_part_path(char *path, uint32_t number);
/* The path of the first part where it is that of any; false, and nothing is changed, where its name
 * says nothing. */
bool gguf_part_first(char *path);

/* STATUS_NOT_FOUND, for a path whose name says which part it is. */
enum status gguf_part_missing(const char *path, struct error *err);

/* Opens all files of the model whose first, or only, one path is. *parts is [*count] in the arena,
 * as are their paths, the first being path itself; each is the caller's to close. On failure
 * nothing is left open. STATUS_FORMAT when a part's name and metadata disagree. */
enum status gguf_split_open(struct gguf **parts, uint32_t *count, struct arena *arena,
                            const char *path, struct error *err);
/* Whether the parts, the first one first, are those of one model and have all of its tensors. */
enum status gguf_split_check(const struct gguf *parts, uint32_t count, struct error *err);

/* NULL when no part has such a tensor. */
const struct tensor *gguf_split_tensor(const struct gguf *parts, uint32_t count, const char *name);

#endif
