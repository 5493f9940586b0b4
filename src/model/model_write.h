/* Writes a model of the Llama architecture: a GGUF file, or a folder with model.safetensors (or its
 * parts and their index), config.json and the tokenizer's files. The weights are streamed; what was
 * there before stays until everything is written. */
#ifndef PRONY_MODEL_MODEL_WRITE_H
#define PRONY_MODEL_MODEL_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tokenizer/token_list.h"
#include "model/weights_write.h"

struct model_content {
    const char *name;
    struct model_config config;
    bool rope_freqs;                 /* the source has WEIGHT_ROPE_FREQS, for GGUF */
    const struct token_list *tokens; /* NULL: none */
    /* Where metadata comes from as it is, instead of the above; both may be NULL. */
    const struct gguf *gguf; /* for GGUF */
    const char *folder;      /* for safetensors */
    struct weight_source source;
};

struct model_output {
    const char *path; /* a file for GGUF, a folder for safetensors */
    enum model_format format;
    enum tensor_type precision; /* F32, F16 or BF16; vectors are F32 in GGUF */
    uint64_t part_bytes;        /* safetensors: the most weights of a file; 0: all in one */
    uint32_t threads;           /* 0: all cores */
    struct weight_progress progress;
};

/* The format that a path is to be written in: as named ("gguf", "safetensors"), else .gguf is GGUF
 * and anything else a safetensors folder. STATUS_USAGE when the two contradict each other. */
enum status model_output_format(const char *path, const char *name, enum model_format *format,
                                struct error *err);

/* Sets part_bytes, after the format. STATUS_USAGE for GGUF, which is one file here. */
enum status model_output_parts(struct model_output *output, double gb, struct error *err);

/* *bytes, which may be NULL, is the size of the weights' files. */
enum status model_write(const struct model_content *content, const struct model_output *output,
                        uint64_t *bytes, struct error *err);

#endif
