#include "model/tensor.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/half.h"
#include "model/noise.h"
#include "model/quant.h"

static const struct {
    const char *name;
    uint32_t block, bytes;
} types[TENSOR_TYPES] = {
    [TENSOR_F32] = {"F32", 1, 4},       [TENSOR_F16] = {"F16", 1, 2},
    [TENSOR_BF16] = {"BF16", 1, 2},     [TENSOR_Q4_0] = {"Q4_0", 32, 18},
    [TENSOR_Q4_1] = {"Q4_1", 32, 20},   [TENSOR_Q5_0] = {"Q5_0", 32, 22},
    [TENSOR_Q5_1] = {"Q5_1", 32, 24},   [TENSOR_Q8_0] = {"Q8_0", 32, 34},
    [TENSOR_Q4_K] = {"Q4_K", 256, 144}, [TENSOR_Q5_K] = {"Q5_K", 256, 176},
    [TENSOR_Q6_K] = {"Q6_K", 256, 210}, [TENSOR_SYNTHETIC] = {"made-up", 1, 2},
};

uint32_t tensor_type_block(enum tensor_type type)
{
    return types[type].block;
}

uint32_t tensor_type_block_bytes(enum tensor_type type)
{
    return types[type].bytes;
}

const char *tensor_type_name(enum tensor_type type)
{
    return types[type].name;
}

enum status tensor_measure(struct tensor *tensor, struct error *err)
{
    uint64_t elements = 1, columns = tensor_columns(tensor);
    uint32_t block = types[tensor->type].block;
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] == 0)
            return error_set(err, STATUS_FORMAT, "tensor \"%s\" has a dimension of 0",
                             tensor->name);
        if (__builtin_mul_overflow(elements, tensor->dims[i], &elements))
            return error_set(err, STATUS_FORMAT, "the dimensions of tensor \"%s\" overflow",
                             tensor->name);
    }
    if (columns % block)
        return error_set(err, STATUS_FORMAT,
                         "tensor \"%s\" is %s, whose blocks hold %u weights, yet its rows have "
                         "%llu",
                         tensor->name, types[tensor->type].name, block,
                         (unsigned long long)columns);
    if (__builtin_mul_overflow(elements / block, (uint64_t)types[tensor->type].bytes,
                               &tensor->bytes))
        return error_set(err, STATUS_FORMAT, "the dimensions of tensor \"%s\" overflow",
                         tensor->name);
    return STATUS_OK;
}

uint64_t tensor_columns(const struct tensor *tensor)
{
    return tensor->n_dims ? tensor->dims[tensor->n_dims - 1] : 1;
}

uint64_t tensor_rows(const struct tensor *tensor)
{
    uint64_t rows = 1;
    for (uint32_t i = 0; i + 1 < tensor->n_dims; i++)
        rows *= tensor->dims[i];
    return rows;
}

uint64_t tensor_elements(const struct tensor *tensor)
{
    return tensor_rows(tensor) * tensor_columns(tensor);
}

bool tensor_is_mapped(const struct tensor *tensor)
{
    return tensor->data && tensor->type != TENSOR_SYNTHETIC;
}

void tensor_rows_drop(const struct tensor *tensor, uint64_t row, uint64_t rows)
{
    if (!tensor_is_mapped(tensor) || rows == 0)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t row_bytes = tensor->bytes / tensor_rows(tensor);
    uintptr_t begin = (uintptr_t)tensor->data + row * row_bytes, end = begin + rows * row_bytes;
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void tensor_row_f32(const struct tensor *tensor, uint64_t row, float *out)
{
    uint64_t columns = tensor_columns(tensor);
    uint64_t row_bytes = columns / types[tensor->type].block * types[tensor->type].bytes;
    const unsigned char *data =
        (const unsigned char *)tensor->data + (tensor_is_mapped(tensor) ? row * row_bytes : 0);
    const uint16_t *halves = (const uint16_t *)(const void *)data;
    switch (tensor->type) {
    case TENSOR_F32:
        memcpy(out, data, columns * sizeof *out);
        break;
    case TENSOR_F16:
        for (uint64_t i = 0; i < columns; i++)
            out[i] = half_to_float(halves[i]);
        break;
    case TENSOR_BF16:
        for (uint64_t i = 0; i < columns; i++)
            out[i] = bfloat_to_float(halves[i]);
        break;
    case TENSOR_SYNTHETIC:
        noise_row(*(const uint64_t *)tensor->data, tensor->n_dims == 1, columns, row, out);
        break;
    default:
        quant_to_f32(tensor->type, data, columns, out);
    }
}
