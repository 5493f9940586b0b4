#include "llama/cuda/codes.h"

#include <string.h>

#include "llama/quantize.h"

/* As codes.cu has them. */
enum { WARPS = 8, THREADS = 32 * WARPS, TOKENS = 8 };

FATBIN_DECLARE(codes);
FATBIN_DECLARE(codes_vector);

/* A block of 64, whose weight 16 k + l is the k-th four bits of the l-th 16, to column after
 * column. */
static void block_put(unsigned char to[NF4_BYTES], const uint8_t *from)
{
    uint32_t pair[NF4_BLOCK / 8]; /* of the 16 (little-endian) */
    memcpy(pair, from, sizeof pair);
    for (unsigned k = 0; k < 4; k++)
        for (unsigned i = 0; i < NF4_BLOCK / 8; i++)
            to[8 * k + i] =
                (unsigned char)((pair[i] >> 4 * k & 15) | (pair[i] >> (4 * k + 12) & 0xf0));
}

void codes_put(enum codes_kind kind, unsigned char *matrix, uint32_t row, uint32_t columns,
               const unsigned char *codes, const float *scales)
{
    for (uint32_t unit = 0; unit < codes_units(columns); unit++) {
        unsigned char *to = matrix + codes_at(kind, columns, row, unit);
        uint32_t first = unit * CODES_COLUMNS, left = columns - first;
        if (kind == CODES_INT8)
            memcpy(to, codes + first, left < CODES_COLUMNS ? left : CODES_COLUMNS);
        else
            block_put(to, codes + first / 2);
        if (kind == CODES_NF4 || unit == 0)
            memcpy(matrix + codes_scale_at(kind, columns, row, unit), scales + unit,
                   sizeof *scales);
    }
}

struct nf4_values nf4_values(void)
{
    struct nf4_values values;
    memcpy(values.code, nf4_code, sizeof values.code);
    return values;
}

enum status codes_vector_open(struct codes_vector_kernels *kernels, struct card *card,
                              struct error *err)
{
    struct fatbin fatbin = FATBIN(codes_vector);
    const struct card_kernel_row rows[] = {
        {"codes_vector_int8", -1, &kernels->plain[CODES_INT8]},
        {"codes_gated_int8", -1, &kernels->gated[CODES_INT8]},
        {"codes_vector_nf4", -1, &kernels->plain[CODES_NF4]},
        {"codes_gated_nf4", -1, &kernels->gated[CODES_NF4]},
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    *kernels = (struct codes_vector_kernels){0};
    enum status status = card_kernels(card, &fatbin, rows, COUNT, err);
    for (size_t i = 0; i < COUNT && status == STATUS_OK; i++)
        status = cuda_check(
            &card->cuda,
            card->cuda.FuncSetAttribute(*rows[i].to, CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES,
                                        card->device.shared_bytes - CODES_VECTOR_SUMS),
            err, "prepare the kernel %s", rows[i].name);
    return status;
}

enum status codes_open(struct codes_kernels *kernels, struct card *card, struct error *err)
{
    struct fatbin fatbin = FATBIN(codes);
    const struct card_kernel_row rows[] = {
        {"multiply_int8_f32", -1, &kernels->multiply_f32[CODES_INT8]},
        {"multiply_int8_f16", -1, &kernels->multiply_f16[CODES_INT8]},
        {"unpack_int8", -1, &kernels->unpack[CODES_INT8]},
        {"multiply_nf4_f32", -1, &kernels->multiply_f32[CODES_NF4]},
        {"multiply_nf4_f16", -1, &kernels->multiply_f16[CODES_NF4]},
        {"unpack_nf4", -1, &kernels->unpack[CODES_NF4]},
    };
    *kernels = (struct codes_kernels){0};
    return card_kernels(card, &fatbin, rows, sizeof rows / sizeof rows[0], err);
}

/* Bytes of shared memory that the vector takes, with nf4's table. */
static uint64_t vector_bytes(enum codes_kind kind, uint32_t columns)
{
    return (uint64_t)codes_vector_columns(columns) * sizeof(float) +
           (kind == CODES_NF4 ? CODES_TABLE : 0);
}

bool codes_vector_fits(const struct card *card, enum codes_kind kind, uint32_t columns)
{
    enum { AT_ONCE = 4 }; /* columns of x */
    return columns % AT_ONCE == 0 &&
           vector_bytes(kind, columns) + CODES_VECTOR_SUMS <= (uint64_t)card->device.shared_bytes;
}

enum status codes_vector(const struct codes_vector_kernels *kernels, const struct card *card,
                         enum codes_kind kind, bool gated, cuda_pointer out, cuda_pointer x,
                         const void *matrix, uint32_t rows, uint32_t columns, struct error *err)
{
    struct nf4_values values = nf4_values();
    void *arguments[] = {&out, &x, &matrix, &rows, &columns, &values};
    uint32_t pairs = (codes_groups(rows) + 1) / 2;
    uint32_t blocks = (uint32_t)card->device.multiprocessors;
    return card_launch_early(card, gated ? kernels->gated[kind] : kernels->plain[kind],
                             (const uint32_t[]){pairs < blocks ? pairs : blocks, 1, 1},
                             32 * CODES_VECTOR_WARPS, (uint32_t)vector_bytes(kind, columns),
                             arguments, err);
}

enum status codes_multiply(const struct codes_kernels *kernels, const struct card *card,
                           enum codes_kind kind, bool x_is_f16, cuda_pointer out, cuda_pointer x,
                           const void *matrix, uint32_t rows, uint32_t columns, uint32_t count,
                           struct error *err)
{
    struct nf4_values values = nf4_values();
    void *arguments[] = {&out, &x, &matrix, &rows, &columns, &count, &values};
    struct cuda_function *const *kernel = x_is_f16 ? kernels->multiply_f16 : kernels->multiply_f32;
    return card_launch(card, kernel[kind], codes_groups(rows), (count + TOKENS - 1) / TOKENS,
                       THREADS, 0, arguments, err);
}

enum status codes_unpack(const struct codes_kernels *kernels, const struct card *card,
                         enum codes_kind kind, cuda_pointer out, const void *matrix, uint32_t rows,
                         uint32_t columns, struct error *err)
{
    struct nf4_values values = nf4_values();
    void *arguments[] = {&out, &matrix, &rows, &columns, &values};
    return card_launch(card, kernels->unpack[kind], codes_groups(rows), 1, THREADS, 0, arguments,
                       err);
}
