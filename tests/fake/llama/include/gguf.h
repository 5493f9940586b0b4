#ifndef FAKE_GGUF_H
#define FAKE_GGUF_H

#include "ggml.h"

struct gguf_context;

enum gguf_type { GGUF_TYPE_UINT16 = 2 };

struct gguf_init_params {
    bool no_alloc;
};

struct gguf_context *gguf_init_from_file(const char *path, struct gguf_init_params params);
void gguf_free(struct gguf_context *file);
int64_t gguf_find_key(const struct gguf_context *file, const char *key);
enum gguf_type gguf_get_kv_type(const struct gguf_context *file, int64_t key);
uint16_t gguf_get_val_u16(const struct gguf_context *file, int64_t key);
int64_t gguf_get_n_tensors(const struct gguf_context *file);
const char *gguf_get_tensor_name(const struct gguf_context *file, int64_t tensor);
enum ggml_type gguf_get_tensor_type(const struct gguf_context *file, int64_t tensor);

#endif
