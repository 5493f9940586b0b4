/* One weight: a name, an element type, a shape, and bytes borrowed from a mapped file. */
#ifndef PRONY_MODEL_TENSOR_H
#define PRONY_MODEL_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum tensor_type {
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_Q4_0, /* the block formats are ggml's; see model/quant.h */
    TENSOR_Q4_1,
    TENSOR_Q5_0,
    TENSOR_Q5_1,
    TENSOR_Q8_0,
    TENSOR_Q4_K,
    TENSOR_Q5_K,
    TENSOR_Q6_K,
    TENSOR_SYNTHETIC, /* no bytes at all: rows are made up; data is the uint64_t key of noise.h */
    TENSOR_TYPES
};

enum { TENSOR_MAX_DIMS = 4 };

struct tensor {
    const char *name;
    enum tensor_type type;
    uint32_t n_dims;
    uint64_t dims[TENSOR_MAX_DIMS]; /* outermost first: [rows, columns]; unused ones are 1 */
    const void *data;               /* row-major; NULL when the tensor is absent */
    uint32_t part;                  /* which of the model's files it is in */
    uint64_t bytes;                 /* of a synthetic one: what it would be in 16 bits */
};

/* Elements in one block, and bytes of one block (1 element for the float types). */
uint32_t tensor_type_block(enum tensor_type type);
uint32_t tensor_type_block_bytes(enum tensor_type type);
/* "F32", "Q4_K", ... */
const char *tensor_type_name(enum tensor_type type);

/* Fills in bytes from type and dims. STATUS_FORMAT: a dimension is 0, the product overflows, or a
 * row is not a whole number of blocks. */
enum status tensor_measure(struct tensor *tensor, struct error *err);

/* Whether data are bytes of a mapped file. */
bool tensor_is_mapped(const struct tensor *tensor);
/* Lets go of the whole pages of a mapped tensor's rows: what is read once, to be converted, need
 * not stay in memory. They may be read again. */
void tensor_rows_drop(const struct tensor *tensor, uint64_t row, uint64_t rows);

/* Columns: the contiguous dimension. Rows: the product of the others. */
uint64_t tensor_columns(const struct tensor *tensor);
uint64_t tensor_rows(const struct tensor *tensor);
uint64_t tensor_elements(const struct tensor *tensor);

/* Writes one row, dequantised, as columns float32 values. row < tensor_rows(). */
void tensor_row_f32(const struct tensor *tensor, uint64_t row, float *out);

#endif
