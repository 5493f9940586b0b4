#include "llama/row.h"

void row_f32(const struct kernels *kernels, const struct tensor *tensor, size_t row, float *out)
{
    static const enum tensor_type types[KERNEL_TYPES] = {
        [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};
    size_t columns = tensor_columns(tensor);
    for (int type = 0; type < KERNEL_TYPES; type++) {
        if (tensor->type != types[type])
            continue;
        size_t element = llama_precision_bytes((enum llama_precision)type);
        const unsigned char *data = (const unsigned char *)tensor->data + row * columns * element;
        if ((uintptr_t)data % element == 0) {
            kernels->widen[type](out, data, columns);
            return;
        }
    }
    tensor_row_f32(tensor, row, out);
}
