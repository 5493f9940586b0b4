/* The open files behind a model; for src/model alone. */
#ifndef PRONY_MODEL_FILES_H
#define PRONY_MODEL_FILES_H

#include <stdint.h>

#include "model/gguf/gguf.h"
#include "model/safetensors/safetensors.h"

struct model_files {
    uint64_t count;
    const char **paths;        /* [count], in the order of their names */
    struct gguf *gguf;         /* [count] when the format is GGUF; the first has the metadata */
    struct safetensors *parts; /* [count] when it is safetensors */
};

#endif
