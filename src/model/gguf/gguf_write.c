#include "model/gguf/gguf_write.h"

#include <string.h>

/* Tensor types by their numbers in a GGUF file. */
enum { GGML_F32 = 0, GGML_F16 = 1, GGML_BF16 = 30 };

enum { GGUF_VERSION = 3, ALIGNMENT = 32, COUNTS_OFFSET = 8 };

/* GGUF is little-endian, whatever the machine. */
static void put(FILE *stream, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        putc((int)(value >> 8 * i & 0xff), stream);
}

static void put_text(FILE *stream, const char *text)
{
    size_t length = strlen(text);
    put(stream, length, 8);
    fwrite(text, 1, length, stream);
}

static void put_key(struct gguf_head *head, const char *key, enum gguf_type type)
{
    head->keys++;
    put_text(head->stream, key);
    put(head->stream, type, 4);
}

static void put_array_key(struct gguf_head *head, const char *key, enum gguf_type type,
                          size_t count)
{
    put_key(head, key, GGUF_ARRAY);
    put(head->stream, type, 4);
    put(head->stream, count, 8);
}

void gguf_write_start(struct gguf_head *head, FILE *stream)
{
    *head = (struct gguf_head){.stream = stream};
    fwrite("GGUF", 1, 4, stream);
    put(stream, GGUF_VERSION, 4);
    put(stream, 0, 8); /* tensors and keys, known at the end */
    put(stream, 0, 8);
}

void gguf_write_string(struct gguf_head *head, const char *key, const char *value)
{
    put_key(head, key, GGUF_STRING);
    put_text(head->stream, value);
}

void gguf_write_u32(struct gguf_head *head, const char *key, uint32_t value)
{
    put_key(head, key, GGUF_U32);
    put(head->stream, value, 4);
}

void gguf_write_f32(struct gguf_head *head, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(head, key, GGUF_F32);
    put(head->stream, bits, 4);
}

void gguf_write_bool(struct gguf_head *head, const char *key, bool value)
{
    put_key(head, key, GGUF_BOOL);
    put(head->stream, value, 1);
}

void gguf_write_strings(struct gguf_head *head, const char *key, const char *const *values,
                        size_t count)
{
    put_array_key(head, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        put_text(head->stream, values[i]);
}

void gguf_write_i32s(struct gguf_head *head, const char *key, const int32_t *values, size_t count)
{
    put_array_key(head, key, GGUF_I32, count);
    for (size_t i = 0; i < count; i++)
        put(head->stream, (uint32_t)values[i], 4);
}

static size_t value_bytes(const struct gguf_value *value)
{
    static const size_t sizes[GGUF_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
    };
    return value->count * sizes[value->type];
}

void gguf_write_value(struct gguf_head *head, const char *key, const struct gguf_value *value)
{
    if (value->is_array)
        put_array_key(head, key, value->type, value->count);
    else
        put_key(head, key, value->type);
    if (value->type != GGUF_STRING) {
        fwrite(value->data, 1, value_bytes(value), head->stream);
        return;
    }
    struct gguf_walk walk = gguf_walk_start(value);
    struct gguf_string string;
    while (gguf_walk_next(&walk, &string)) {
        put(head->stream, string.bytes, 8);
        fwrite(string.data, 1, string.bytes, head->stream);
    }
}

static uint64_t align_up(uint64_t offset)
{
    return (offset + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

enum status gguf_write_table(struct gguf_head *head, struct weight *weights, size_t count,
                             uint64_t *file_bytes, struct error *err)
{
    static const uint32_t types[] = {
        [TENSOR_F32] = GGML_F32, [TENSOR_F16] = GGML_F16, [TENSOR_BF16] = GGML_BF16};
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        struct weight *w = &weights[i];
        put_text(head->stream, w->name);
        put(head->stream, w->n_dims, 4);
        put(head->stream, w->columns, 8); /* innermost first */
        if (w->n_dims == 2)
            put(head->stream, w->rows, 8);
        put(head->stream, types[w->type], 4);
        put(head->stream, offset, 8);
        w->offset = offset;
        offset = align_up(offset + w->bytes);
    }
    long table_end = ftell(head->stream);
    if (table_end < 0 || fseek(head->stream, COUNTS_OFFSET, SEEK_SET) != 0)
        return error_errno(err, "write the head of the file");
    put(head->stream, count, 8);
    put(head->stream, head->keys, 8);
    uint64_t start = align_up((uint64_t)table_end);
    for (size_t i = 0; i < count; i++)
        weights[i].offset += start;
    *file_bytes = start + offset;
    if (fflush(head->stream) != 0 || ferror(head->stream))
        return error_errno(err, "write the head of the file");
    return STATUS_OK;
}
