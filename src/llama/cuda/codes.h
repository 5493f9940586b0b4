/* How the codes of quantised matrices (docs/quantisation.md) lie in a card's memory: rows in groups
 * of 8, columns in units of 64. A unit of a group is what the tensor cores multiply at a time: each
 * of a warp's lanes has 16 columns of a row, those of a row follow each other.
 *
 *   int8   a group is its units, each [8 rows, 64] codes, then the scales of its rows; the next one
 * begins at a multiple of 128 bytes
 *   nf4    a group is its units, each [8 rows, 64] codes of four bits, of two columns the first
 * one's lowest, then the scales of the unit's rows
 *
 * Rows and columns that the matrix does not have are there with a code, or a scale, of 0. */
#ifndef PRONY_LLAMA_CUDA_CODES_H
#define PRONY_LLAMA_CUDA_CODES_H

#include <stdint.h>

#include "llama/both.h"

enum codes_kind { CODES_NONE, CODES_INT8, CODES_NF4 };
enum {
    CODES_ROWS = 8,                         /* of a group */
    CODES_COLUMNS = 64,                     /* of a unit */
    CODES_LANE = 16,                        /* columns that a lane has */
    CODES_SCALES = CODES_ROWS * 4,          /* bytes of the rows' scales */
    INT8_SCALES = 128,                      /* and of int8's, with what fills up */
    INT8_UNIT = CODES_ROWS * CODES_COLUMNS, /* bytes */
    NF4_UNIT = CODES_ROWS * CODES_COLUMNS / 2 + CODES_SCALES,
    CODES_VECTOR_WARPS = 16, /* of a block that multiplies one vector */
    CODES_VECTOR_SUMS = 2 * CODES_VECTOR_WARPS * 2 * CODES_ROWS * 4, /* bytes it has for sums */
    CODES_TABLE = 32768 /* bytes of shared memory: each byte's two values, for every lane */
};

/* The values that the codes of nf4 stand for. */
struct nf4_values {
    float code[16];
};

/* Bytes of a row's codes in a unit, and of all that a unit has. */
BOTH uint32_t codes_row_bytes(enum codes_kind kind)
{
    return kind == CODES_INT8 ? CODES_COLUMNS : CODES_COLUMNS / 2;
}
BOTH uint32_t codes_unit_bytes(enum codes_kind kind)
{
    return kind == CODES_INT8 ? INT8_UNIT : NF4_UNIT;
}

BOTH uint32_t codes_groups(uint32_t rows)
{
    return (rows + CODES_ROWS - 1) / CODES_ROWS;
}
BOTH uint32_t codes_units(uint32_t columns)
{
    return (columns + CODES_COLUMNS - 1) / CODES_COLUMNS;
}

BOTH uint64_t codes_group_bytes(enum codes_kind kind, uint32_t columns)
{
    return (uint64_t)codes_units(columns) * codes_unit_bytes(kind) +
           (kind == CODES_INT8 ? INT8_SCALES : 0);
}
BOTH uint64_t codes_bytes(enum codes_kind kind, uint32_t rows, uint32_t columns)
{
    return codes_groups(rows) * codes_group_bytes(kind, columns);
}

/* Where a row's codes of a unit begin, and where their scale is: bytes from the matrix's start. */
BOTH uint64_t codes_at(enum codes_kind kind, uint32_t columns, uint32_t row, uint32_t unit)
{
    return row / CODES_ROWS * codes_group_bytes(kind, columns) +
           (uint64_t)unit * codes_unit_bytes(kind) + row % CODES_ROWS * codes_row_bytes(kind);
}
BOTH uint64_t codes_scale_at(enum codes_kind kind, uint32_t columns, uint32_t row, uint32_t unit)
{
    uint32_t last = kind == CODES_INT8 ? codes_units(columns) : unit;
    uint64_t scales = kind == CODES_INT8 ? 0 : CODES_ROWS * codes_row_bytes(kind);
    return row / CODES_ROWS * codes_group_bytes(kind, columns) +
           (uint64_t)last * codes_unit_bytes(kind) + scales + row % CODES_ROWS * sizeof(float);
}

/* Columns that the kernel for one vector has in shared memory: a unit for each warp, in whole
 * rounds. */
BOTH uint32_t codes_vector_columns(uint32_t columns)
{
    enum { ROUND = CODES_VECTOR_WARPS * CODES_COLUMNS };
    return (columns + ROUND - 1) / ROUND * ROUND;
}

#ifndef __CUDACC__
#include "llama/cuda/card.h"

/* What a matrix of so many bits is here. */
static inline enum codes_kind codes_kind_of(enum llama_precision precision)
{
    return precision == LLAMA_INT8 ? CODES_INT8 : precision == LLAMA_NF4 ? CODES_NF4 : CODES_NONE;
}

struct nf4_values nf4_values(void);

/* Puts one row's codes and scales, as llama/quantize.h makes them, into a matrix. */
void codes_put(enum codes_kind kind, unsigned char *matrix, uint32_t row, uint32_t columns,
               const unsigned char *codes, const float *scales);

/* Kernels that any card has (codes.cu). A zeroed one has none. */
struct codes_kernels {
    struct cuda_function *multiply_f32[CODES_NF4 + 1], *multiply_f16[CODES_NF4 + 1];
    struct cuda_function *unpack[CODES_NF4 + 1];
};
enum status codes_open(struct codes_kernels *kernels, struct card *card, struct error *err);

/* Those for one vector (codes_vector.cu), likewise. */
struct codes_vector_kernels {
    struct cuda_function *plain[CODES_NF4 + 1], *gated[CODES_NF4 + 1];
};
enum status codes_vector_open(struct codes_vector_kernels *kernels, struct card *card,
                              struct error *err);

/* out [count, rows] = x [count, columns] matrix^T; all float32, but x, which may be float16. */
enum status codes_multiply(const struct codes_kernels *kernels, const struct card *card,
                           enum codes_kind kind, bool x_is_f16, cuda_pointer out, cuda_pointer x,
                           const void *matrix, uint32_t rows, uint32_t columns, uint32_t count,
                           struct error *err);
/* out [rows] = matrix x [columns]; gated, of an even number of rows: out [rows / 2], each the silu
 * of an even row's times the odd one's. All float32, by the tensor cores, which take nf4's values
 * as the nearest float16s, and an element of x, up to 65504, as two of them (halves.cuh). x lies at
 * a multiple of 16 bytes; its columns are a multiple of four and fit a block's shared memory, which
 * is what fits says. The kernel may begin before those before it have ended, and waits for them. */
bool codes_vector_fits(const struct card *card, enum codes_kind kind, uint32_t columns);
enum status codes_vector(const struct codes_vector_kernels *kernels, const struct card *card,
                         enum codes_kind kind, bool gated, cuda_pointer out, cuda_pointer x,
                         const void *matrix, uint32_t rows, uint32_t columns, struct error *err);
/* out [rows, columns] float16 = the weights; columns are whole units. */
enum status codes_unpack(const struct codes_kernels *kernels, const struct card *card,
                         enum codes_kind kind, cuda_pointer out, const void *matrix, uint32_t rows,
                         uint32_t columns, struct error *err);
#endif

#endif
