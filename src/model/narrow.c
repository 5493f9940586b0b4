#include "model/narrow.h"

#include <string.h>

#include "model/half.h"

enum { F32_INFINITY = 0x7f800000, F16_INFINITY = 0x7c00, BF16_INFINITY = 0x7f80 };

bool narrow(const float *in, size_t count, enum tensor_type type, void *out)
{
    uint16_t *half = out;
    uint32_t infinity = type == TENSOR_F16 ? F16_INFINITY : BF16_INFINITY;
    unsigned overflow = 0;
    if (type == TENSOR_F32) {
        memcpy(out, in, count * sizeof *in);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        half[i] = type == TENSOR_F16 ? half_from_float(in[i]) : bfloat_from_float(in[i]);
        overflow |=
            (half[i] & 0x7fffU) == infinity && (float_bits(in[i]) & 0x7fffffff) != F32_INFINITY;
    }
    return !overflow;
}
