/* Model files made in memory, for tests of their readers: GGUF piece by piece, and one tiny whole
 * model (1 layer, 8 wide, 2 heads of 4, 1 key/value head, FFN 8, 4 tokens) that a test bends. */
#ifndef PRONY_TESTS_MODEL_BYTES_H
#define PRONY_TESTS_MODEL_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf/gguf.h"

struct bytes {
    unsigned char *data;
    size_t size;
};

static inline void bytes_put(struct bytes *bytes, const void *data, size_t size)
{
    bytes->data = realloc(bytes->data, bytes->size + size + 1);
    if (!bytes->data)
        abort();
    if (size)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void bytes_put_u32(struct bytes *bytes, uint32_t value)
{
    bytes_put(bytes, &value, sizeof value);
}

static inline void bytes_put_u64(struct bytes *bytes, uint64_t value)
{
    bytes_put(bytes, &value, sizeof value);
}

static inline void bytes_put_string(struct bytes *bytes, const char *text)
{
    bytes_put_u64(bytes, strlen(text));
    bytes_put(bytes, text, strlen(text));
}

static inline void bytes_pad(struct bytes *bytes, size_t alignment)
{
    while (bytes->size % alignment)
        bytes_put(bytes, "", 1);
}

static inline void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static inline void bytes_write(const struct bytes *bytes, const char *path)
{
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(bytes->data, 1, bytes->size, stream) != bytes->size || fclose(stream))
        abort();
}

/* A GGUF file in the making. Zero-initialise; free what gguf_made returns. */
struct gguf_maker {
    struct bytes pairs, list, data;
    uint64_t pair_count, tensor_count;
    const char *skip; /* key or tensor that make_tiny leaves out */
};

static inline void make_key(struct gguf_maker *maker, const char *key, uint32_t type)
{
    bytes_put_string(&maker->pairs, key);
    bytes_put_u32(&maker->pairs, type);
    maker->pair_count++;
}

static inline void make_u32(struct gguf_maker *maker, const char *key, uint32_t value)
{
    make_key(maker, key, GGUF_U32);
    bytes_put_u32(&maker->pairs, value);
}

static inline void make_f32(struct gguf_maker *maker, const char *key, float value)
{
    make_key(maker, key, GGUF_F32);
    bytes_put(&maker->pairs, &value, sizeof value);
}

static inline void make_string(struct gguf_maker *maker, const char *key, const char *value)
{
    make_key(maker, key, GGUF_STRING);
    bytes_put_string(&maker->pairs, value);
}

/* An array's head; the caller puts count elements into maker->pairs. */
static inline void make_array(struct gguf_maker *maker, const char *key, uint32_t type,
                              uint64_t count)
{
    make_key(maker, key, GGUF_ARRAY);
    bytes_put_u32(&maker->pairs, type);
    bytes_put_u64(&maker->pairs, count);
}

/* An entry of the list as given, with no data behind it. */
static inline void make_entry(struct gguf_maker *maker, const char *name, uint32_t n_dims,
                              const uint64_t *inner_first, uint32_t type, uint64_t offset)
{
    bytes_put_string(&maker->list, name);
    bytes_put_u32(&maker->list, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        bytes_put_u64(&maker->list, inner_first[i]);
    bytes_put_u32(&maker->list, type);
    bytes_put_u64(&maker->list, offset);
    maker->tensor_count++;
}

/* An F32 tensor of small values; rows 0 makes a vector. */
static inline void make_tensor(struct gguf_maker *maker, const char *name, uint64_t rows,
                               uint64_t columns)
{
    const uint64_t dims[] = {columns, rows};
    bytes_pad(&maker->data, 32);
    make_entry(maker, name, rows ? 2 : 1, dims, 0, maker->data.size);
    for (uint64_t i = 0; i < (rows ? rows : 1) * columns; i++) {
        float value = 1 + (float)(i % 5) / 8;
        bytes_put(&maker->data, &value, sizeof value);
    }
}

/* The file: header, pairs, list, padding, data. Frees the maker's parts. */
static inline struct bytes gguf_made(struct gguf_maker *maker)
{
    struct bytes file = {0};
    bytes_put(&file, "GGUF\3\0\0\0", 8);
    bytes_put_u64(&file, maker->tensor_count);
    bytes_put_u64(&file, maker->pair_count);
    bytes_put(&file, maker->pairs.data, maker->pairs.size);
    bytes_put(&file, maker->list.data, maker->list.size);
    bytes_pad(&file, 32);
    bytes_put(&file, maker->data.data, maker->data.size);
    bytes_free(&maker->pairs);
    bytes_free(&maker->list);
    bytes_free(&maker->data);
    *maker = (struct gguf_maker){0};
    return file;
}

/* What the tiny model says of itself, but for the key named maker->skip. */
static inline void make_tiny_keys(struct gguf_maker *maker)
{
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"llama.embedding_length", 8},     {"llama.block_count", 1},
                 {"llama.attention.head_count", 2}, {"llama.attention.head_count_kv", 1},
                 {"llama.feed_forward_length", 8},  {"llama.context_length", 16}};
    const char *skip = maker->skip ? maker->skip : "",
               *eps = "llama.attention.layer_norm_rms_epsilon";
    if (strcmp(skip, "general.architecture") != 0)
        make_string(maker, "general.architecture", "llama");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(skip, sizes[i].key) != 0)
            make_u32(maker, sizes[i].key, sizes[i].value);
    if (strcmp(skip, eps) != 0)
        make_f32(maker, eps, 1e-5f);
}

enum { TINY_TENSORS = 11 };

/* Its tensors from one to before another, but for that named maker->skip. */
static inline void make_tiny_tensors(struct gguf_maker *maker, size_t from, size_t to)
{
    static const struct {
        const char *name;
        uint64_t rows, columns;
    } tensors[TINY_TENSORS] = {{"token_embd.weight", 4, 8},        {"output_norm.weight", 0, 8},
                               {"blk.0.attn_norm.weight", 0, 8},   {"blk.0.attn_q.weight", 8, 8},
                               {"blk.0.attn_k.weight", 4, 8},      {"blk.0.attn_v.weight", 4, 8},
                               {"blk.0.attn_output.weight", 8, 8}, {"blk.0.ffn_norm.weight", 0, 8},
                               {"blk.0.ffn_gate.weight", 8, 8},    {"blk.0.ffn_up.weight", 8, 8},
                               {"blk.0.ffn_down.weight", 8, 8}};
    const char *skip = maker->skip ? maker->skip : "";
    for (size_t i = from; i < to; i++)
        if (strcmp(skip, tensors[i].name) != 0)
            make_tensor(maker, tensors[i].name, tensors[i].rows, tensors[i].columns);
}

/* Adds a whole tiny model but for the key or tensor named maker->skip. */
static inline void make_tiny(struct gguf_maker *maker)
{
    make_tiny_keys(maker);
    make_tiny_tensors(maker, 0, TINY_TENSORS);
}

#endif
