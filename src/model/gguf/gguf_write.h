/* Writes the head of a GGUF v3 file: metadata, then the table of tensors. The weights follow at
 * the offsets that gguf_write_table() gives them.
 *
 * Errors of the stream are sticky: the file's commit reports them. */
#ifndef PRONY_MODEL_GGUF_WRITE_H
#define PRONY_MODEL_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "model/gguf/gguf.h"
#include "model/layout.h"

struct gguf_head {
    FILE *stream;
    uint64_t keys; /* metadata entries so far */
};

/* Starts the head; stream is at 0, and can seek. */
void gguf_write_start(struct gguf_head *head, FILE *stream);

void gguf_write_string(struct gguf_head *head, const char *key, const char *value);
void gguf_write_u32(struct gguf_head *head, const char *key, uint32_t value);
void gguf_write_f32(struct gguf_head *head, const char *key, float value);
void gguf_write_bool(struct gguf_head *head, const char *key, bool value);
void gguf_write_strings(struct gguf_head *head, const char *key, const char *const *values,
                        size_t count);
void gguf_write_i32s(struct gguf_head *head, const char *key, const int32_t *values, size_t count);
/* A value as another file has it. */
void gguf_write_value(struct gguf_head *head, const char *key, const struct gguf_value *value);

/* Ends the head with the table, and sets the weights' offsets. *file_bytes is the size of the
 * whole file. */
enum status gguf_write_table(struct gguf_head *head, struct weight *weights, size_t count,
                             uint64_t *file_bytes, struct error *err);

#endif
