/* Quantising on load, as docs/quantisation.md defines it, and the layout that the kernels read.
 * int8 and nf4 are made by the kernels of the processor (llama/cpu/kernels.h), with the same bits
 * by all.
 *
 * int8: [rows, columns] codes, and a scale for each row. nf4: each block of NF4_BLOCK weights is
 * NF4_BYTES of codes, with a scale of its own; the weight 16 k + l (k below 4, l below 16) is the
 * k-th four bits, from the lowest, of the l-th 16 (little-endian), so that a vector of 16 lanes
 * has weights that follow each other. */
#ifndef PRONY_LLAMA_QUANTIZE_H
#define PRONY_LLAMA_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "model/quantisable.h"

enum { NF4_BYTES = NF4_BLOCK / 2, NF4_CODES = 16 };

/* The values of the NormalFloat code, ascending. */
extern const float nf4_code[NF4_CODES];

/* What ggml's Q8_0 makes of a row of whole blocks of Q8_0_BLOCK, in place of its weights: a code of
 * 8 bits each, and a float16 for a block, multiplied. */
void quantize_q8_0(float *row, size_t columns);

/* The code of the weight i of a row. */
static inline unsigned nf4_at(const uint8_t *codes, size_t i)
{
    size_t block = i / NF4_BLOCK, k = i % NF4_BLOCK / 16, l = i % 16;
    return codes[block * NF4_BYTES + 2 * l + k / 2] >> (k % 2 * 4) & 15;
}

#endif
