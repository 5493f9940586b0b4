/* Which family a model belongs to: by what the file says, else by its name. */
#ifndef PRONY_MODEL_DETECT_H
#define PRONY_MODEL_DETECT_H

#include "base/error.h"

enum model_type { MODEL_TYPE_UNKNOWN, MODEL_TYPE_LLAMA, MODEL_TYPE_GPT };

/* "llama", "gpt", "unknown". */
const char *model_type_name(enum model_type type);
/* The type that a name stands for; MODEL_TYPE_UNKNOWN when it is none. */
enum model_type model_type_parse(const char *name);

/* Looks into the file or folder (GGUF's general.architecture, config.json's model_type); where
 * that says nothing, at names: "llama", ".gguf", "tokenizer.model", "consolidated",
 * "model.safetensors" mean llama; "gpt", "vocab.bpe", "encoder.json", "pytorch_model" mean gpt. */
enum status model_detect(const char *path, enum model_type *type, struct error *err);

/* STATUS_USAGE with exactly "Model type mismatch: Expected 'gpt' but detected 'llama'" when the
 * path holds another type than expected. */
enum status model_check_type(const char *path, enum model_type expected, struct error *err);

#endif
