/* A safetensors file: a JSON header that names every tensor's type, shape and place, then the
 * bytes. The header must describe the file completely: no hole, no overlap, no byte left over. */
#ifndef PRONY_MODEL_SAFETENSORS_H
#define PRONY_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "model/tensor.h"

struct safetensors {
    const char *path;       /* for errors */
    struct tensor *tensors; /* as ordered in the header; names are printable ASCII */
    uint64_t tensor_count;
    struct arena arena;
    struct file_map map; /* empty when parsed from memory */
};

/* Maps and parses a file; path must outlive it. On failure nothing is left open.
 * STATUS_UNSUPPORTED: a type other than F32, F16 and BF16, or data that is not aligned. */
enum status safetensors_open(struct safetensors *file, const char *path, struct error *err);
/* Parses bytes (aligned to 8) that outlive it; path is what errors name. */
enum status safetensors_parse(struct safetensors *file, const void *bytes, size_t size,
                              const char *path, struct error *err);
void safetensors_close(struct safetensors *file);

#endif
