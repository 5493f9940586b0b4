/* model.safetensors.index.json: which tensor is in which file of a model in several parts. */
#ifndef PRONY_MODEL_SAFETENSORS_INDEX_H
#define PRONY_MODEL_SAFETENSORS_INDEX_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/safetensors/safetensors.h"

struct safetensors_index {
    const char *path;   /* for errors */
    json_t *weights;    /* tensor -> file name */
    const char **files; /* [count] names without a folder, sorted */
    uint64_t count;
    struct arena arena;
};

/* Reads an index and its list of files, each of which is a plain name ending in .safetensors. */
enum status safetensors_index_read(struct safetensors_index *index, const char *path,
                                   struct error *err);
/* STATUS_FORMAT unless the parts (in the order of index->files) hold exactly the tensors that the
 * index says they hold. */
enum status safetensors_index_check(const struct safetensors_index *index,
                                    const struct safetensors *parts, struct error *err);
void safetensors_index_free(struct safetensors_index *index);

#endif
