/* Rows quantised by the plain kernels, which the others are held against. */
#ifndef PRONY_TESTS_PLAIN_CODES_H
#define PRONY_TESTS_PLAIN_CODES_H

#include "llama/cpu/kernels.h"

/* codes [columns], and the scale of the row. */
static inline void plain_int8(int8_t *codes, float *scale, const float *row, size_t columns)
{
    *scale = kernels_plain.int8_scale(row, columns);
    kernels_plain.int8_codes(codes, *scale, row, columns);
}

#endif
