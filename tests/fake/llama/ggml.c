/* libggml and libggml-base: a GGUF file with two tensors, the first Q8_0 where the file says so,
 * else of the type that FAKE_LLAMA_TYPE names. The first of FAKE_LLAMA_PARTS has none.
 * There are FAKE_LLAMA_CARDS cards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ggml-backend.h"
#include "gguf.h"

struct gguf_context {
    enum ggml_type type;
    uint16_t parts;
    bool first;
};

const char *ggml_type_name(enum ggml_type type)
{
    return type == GGML_TYPE_Q8_0 ? "q8_0" : "f16";
}

void ggml_backend_load_all(void)
{
}

ggml_backend_dev_t ggml_backend_dev_by_name(const char *name)
{
    static int cards[8];
    const char *there = getenv("FAKE_LLAMA_CARDS");
    int number = atoi(name + strlen("CUDA"));
    return there && number < atoi(there) ? (ggml_backend_dev_t)&cards[number] : NULL;
}

struct gguf_context *gguf_init_from_file(const char *path, struct gguf_init_params params)
{
    char magic[5] = "", kind[5] = "";
    const char *type = getenv("FAKE_LLAMA_TYPE"), *parts = getenv("FAKE_LLAMA_PARTS");
    FILE *stream = fopen(path, "rb");
    (void)params;
    size_t count = stream ? fread(magic, 1, 4, stream) : 0;
    bool quantised = count == 4 && fread(kind, 1, 4, stream) == 4 && strcmp(kind, "q8_0") == 0;
    if (stream)
        fclose(stream);
    struct gguf_context *file =
        count == 4 && strcmp(magic, "GGUF") == 0 ? calloc(1, sizeof *file) : NULL;
    if (file)
        *file = (struct gguf_context){
            .type = quantised ? GGML_TYPE_Q8_0
                    : type    ? (enum ggml_type)atoi(type)
                              : GGML_TYPE_F16,
            .parts = parts ? (uint16_t)atoi(parts) : 0,
            .first = strstr(path, "-00001-of-") != NULL,
        };
    return file;
}

void gguf_free(struct gguf_context *file)
{
    free(file);
}

int64_t gguf_find_key(const struct gguf_context *file, const char *key)
{
    return file->parts && strcmp(key, "split.count") == 0 ? 0 : -1;
}

enum gguf_type gguf_get_kv_type(const struct gguf_context *file, int64_t key)
{
    (void)file, (void)key;
    return GGUF_TYPE_UINT16;
}

uint16_t gguf_get_val_u16(const struct gguf_context *file, int64_t key)
{
    (void)key;
    return file->parts;
}

int64_t gguf_get_n_tensors(const struct gguf_context *file)
{
    return file->parts && file->first ? 0 : 2;
}

const char *gguf_get_tensor_name(const struct gguf_context *file, int64_t tensor)
{
    (void)file;
    return tensor ? "output_norm.weight" : "token_embd.weight";
}

enum ggml_type gguf_get_tensor_type(const struct gguf_context *file, int64_t tensor)
{
    return tensor ? GGML_TYPE_F32 : file->type;
}
