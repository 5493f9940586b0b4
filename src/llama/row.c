#include "llama/row.h"

#include "model/noise.h"

void row_f32(const struct kernels *kernels, const struct tensor *tensor, size_t row,
             struct part held, float *out)
{
    static const enum tensor_type types[KERNEL_TYPES] = {
        [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};
    size_t columns = tensor_columns(tensor), first = row * columns + held.begin;
    for (int type = 0; type < KERNEL_TYPES; type++) {
        if (tensor->type != types[type])
            continue;
        size_t element = llama_precision_bytes((enum llama_precision)type);
        const unsigned char *data = (const unsigned char *)tensor->data + first * element;
        if ((uintptr_t)data % element == 0) {
            kernels->widen[type](out + held.begin, data, held.end - held.begin);
            return;
        }
    }
    if (tensor->type == TENSOR_SYNTHETIC && tensor->n_dims > 1)
        kernels->noise(out + held.begin, *(const uint64_t *)tensor->data, first,
                       held.end - held.begin, noise_scale(columns));
    else
        tensor_row_f32(tensor, row, out);
}
