#include "llama/cuda/product.h"

#include <stdio.h>

/* As prefill.cu has them. */
enum {
    LARGE = 128, /* tokens and rows of a block; of the small one's, the tokens */
    SMALL_ROWS = 32,
    FEW = 8,       /* tokens that need no large tiles */
    ONE_ROWS = 32, /* of a block, for one token */
    PLAIN_THREADS = 256,
    LARGE_SHARED = 3 * (LARGE + LARGE) * PRODUCT_DEPTH * 2,
    SMALL_SHARED = 4 * (LARGE + SMALL_ROWS) * PRODUCT_DEPTH * 2
};
enum { WIDER = 64 }; /* from a width to the next */
static const uint32_t widths[PRODUCT_WIDTHS] = {128, 192, 256};

FATBIN_DECLARE(wgmma);

static uint32_t ceiling(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static uint32_t wide_shared(uint32_t width)
{
    uint32_t stages = (uint32_t)PRODUCT_STAGES(width);
    uint32_t stage = (PRODUCT_TOKENS + width) * PRODUCT_DEPTH * 2;
    return stages * stage + 2 * stages * (uint32_t)sizeof(uint64_t) + 1024;
}

/* Cycles that it should take: rounds of tiles, each with its steps, which the tensor cores or the
 * second-level cache hold up, and its store; and the sum of parts. */
static uint64_t plan_cycles(const struct product_plan *plan, uint32_t tokens, uint32_t rows,
                            uint32_t columns, uint32_t multiprocessors)
{
    enum { CACHE_BYTES = 40, START = 1500, STORE = 12, SUM_BYTES = 2500 };
    uint32_t width = plan->width, tiles = product_tiles(width, tokens, rows) * plan->parts;
    uint64_t multiply = 4 * (uint64_t)width;
    uint64_t copy = (uint64_t)(PRODUCT_TOKENS + width) * PRODUCT_DEPTH * 2 / CACHE_BYTES;
    uint64_t steps = ceiling(columns / PRODUCT_DEPTH, plan->parts);
    uint64_t tile = steps * (multiply > copy ? multiply : copy) + START + (uint64_t)STORE * width;
    uint64_t sum = (uint64_t)plan->parts * tokens * rows * sizeof(float) / SUM_BYTES;
    return ceiling(tiles, multiprocessors) * tile + sum;
}

struct product_plan product_plan(uint32_t tokens, uint32_t rows, uint32_t columns, bool gated,
                                 uint32_t widest, uint32_t multiprocessors)
{
    enum { LEAST_STEPS = 4 }; /* of a part */
    struct product_plan best = {widths[0], 1};
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < PRODUCT_WIDTHS && widths[i] <= widest; i++) {
        uint32_t tiles = product_tiles(widths[i], tokens, rows);
        uint32_t most = gated ? 1 : PRODUCT_MOST_PARTS;
        for (uint32_t parts = 1; parts <= most; parts++) {
            if (parts > 1 &&
                (tiles * parts > multiprocessors || columns / PRODUCT_DEPTH / parts < LEAST_STEPS))
                break;
            struct product_plan plan = {widths[i], parts};
            uint64_t cycles = plan_cycles(&plan, tokens, rows, columns, multiprocessors);
            if (cycles < least) {
                least = cycles;
                best = plan;
            }
        }
    }
    return best;
}

uint64_t product_out_bytes(uint32_t most_tokens, uint32_t most_rows, uint32_t multiprocessors)
{
    uint64_t whole = (uint64_t)most_tokens * most_rows;
    uint64_t parts = (uint64_t)multiprocessors * PRODUCT_TOKENS * widths[PRODUCT_WIDTHS - 1];
    return (whole > parts ? whole : parts) * sizeof(float);
}

static enum status kernel_find(const struct card *card, struct cuda_module *module,
                               const char *name, enum llama_precision precision, uint32_t shared,
                               struct cuda_function **to, struct error *err)
{
    enum status status = card_kernel(card, module, name, (int)precision, to, err);
    if (status != STATUS_OK)
        return status;
    return cuda_check(
        &card->cuda,
        card->cuda.FuncSetAttribute(*to, CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES, (int)shared), err,
        "prepare the kernel %s", name);
}

enum status product_open(struct product_kernels *kernels, struct card *card,
                         struct cuda_module *plain, enum llama_precision precision,
                         struct error *err)
{
    struct fatbin fatbin = FATBIN(wgmma);
    struct cuda_module *module;
    *kernels = (struct product_kernels){.multiprocessors = (uint32_t)card->device.multiprocessors};
    enum status status =
        kernel_find(card, plain, "product_small", precision, SMALL_SHARED, &kernels->small, err);
    if (status == STATUS_OK)
        status = kernel_find(card, plain, "product_large", precision, LARGE_SHARED, &kernels->large,
                             err);
    if (status == STATUS_OK)
        status = card_kernel(card, plain, "product_one", (int)precision, &kernels->one, err);
    if (status != STATUS_OK || !card_is_hopper(card))
        return status;
    status = card_load(card, &fatbin, &module, err);
    for (size_t i = 0; i < PRODUCT_WIDTHS && status == STATUS_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "product_%u", widths[i]);
        status = kernel_find(card, module, name, precision, wide_shared(widths[i]),
                             &kernels->wide[i], err);
    }
    return status;
}

enum status tensor_map_make(struct tensor_map *map, const struct card *card, cuda_pointer at,
                            const uint64_t sizes[3], const uint64_t strides[2],
                            const uint32_t box[3], struct error *err)
{
    const uint32_t steps[] = {1, 1, 1};
    return cuda_check(&card->cuda,
                      card->cuda.TensorMapEncodeTiled(
                          map, CUDA_TENSOR_UINT16, 3, (const void *)(uintptr_t)at, sizes, strides,
                          box, steps, 0, CUDA_TENSOR_SWIZZLE_128, CUDA_TENSOR_PROMOTE_128, 0),
                      err, "describe an array of %llu x %llu x %llu to %s",
                      (unsigned long long)sizes[2], (unsigned long long)sizes[1],
                      (unsigned long long)sizes[0], card->device.name);
}

enum status product_describe(struct product *p, const struct product_kernels *kernels,
                             const struct card *card, uint32_t most_tokens, uint32_t layers,
                             struct error *err)
{
    const uint32_t box[] = {PRODUCT_DEPTH, 64, 1};
    uint64_t row = 2 * (uint64_t)p->columns;
    const uint64_t x_sizes[] = {p->columns, most_tokens, 1}, x_strides[] = {row, row * most_tokens};
    bool coded = p->codes != CODES_NONE;
    const uint64_t sizes[] = {p->columns, p->rows, coded ? 1 : layers};
    const uint64_t strides[] = {row, coded ? row * p->rows : p->layer_bytes};
    cuda_pointer weights = coded ? p->scratch : (cuda_pointer)(uintptr_t)p->weights;
    if (!kernels->wide[0])
        return STATUS_OK;
    enum status status = tensor_map_make(&p->weights_map, card, weights, sizes, strides, box, err);
    return status == STATUS_OK
               ? tensor_map_make(&p->x_map, card, p->x, x_sizes, x_strides, box, err)
               : status;
}

enum status product_start_plain(const struct product_kernels *kernels, const struct card *card,
                                cuda_pointer x, const void *weights, uint32_t rows,
                                uint32_t columns, uint32_t count, bool gated, uint32_t parts,
                                cuda_pointer out, struct error *err)
{
    bool large = count > FEW;
    uint32_t each = large ? LARGE : SMALL_ROWS, kind = gated;
    uint32_t grid[3] = {ceiling(count, LARGE), ceiling(rows, each), parts};
    void *arguments[] = {&out, &x, &weights, &count, &rows, &columns, &kind};
    void *one[] = {&out, &x, &weights, &rows, &columns};
    if (count == 1 && !gated)
        return card_launch_early(card, kernels->one,
                                 (const uint32_t[]){ceiling(rows, ONE_ROWS), 1, 1}, PLAIN_THREADS,
                                 0, one, err);
    return card_launch_early(card, large ? kernels->large : kernels->small, grid, PLAIN_THREADS,
                             large ? LARGE_SHARED : SMALL_SHARED, arguments, err);
}

enum status product_start(const struct product *p, const struct product_kernels *kernels,
                          const struct card *card, uint32_t layer, uint32_t count, cuda_pointer out,
                          uint32_t *parts, struct error *err)
{
    uint32_t widest = widths[kernels->wide[0] ? PRODUCT_WIDTHS - 1 : 0];
    struct product_plan plan =
        product_plan(count, p->rows, p->columns, p->gated, widest, kernels->multiprocessors);
    const char *weights = p->weights + layer * p->layer_bytes;
    bool coded = p->codes != CODES_NONE;
    if (coded) {
        if (codes_unpack(p->unpack, card, p->codes, p->scratch, weights, p->rows, p->columns, err))
            return err->status;
        weights = (const char *)(uintptr_t)p->scratch;
        layer = 0;
    }
    if (!kernels->wide[0] || count <= FEW) {
        *parts = count <= FEW ? 1 : plan.parts;
        return product_start_plain(kernels, card, p->x, weights, p->rows, p->columns, count,
                                   p->gated, *parts, out, err);
    }
    struct product_arguments values = {
        .x = p->x_map,
        .weights = p->weights_map,
        .out = (void *)(uintptr_t)out,
        .tokens = count,
        .rows = p->rows,
        .columns = p->columns,
        .layer = layer,
        .parts = plan.parts,
        .gated = p->gated,
    };
    void *arguments[] = {&values};
    uint32_t tiles = product_tiles(plan.width, count, p->rows) * plan.parts;
    uint32_t blocks = tiles < kernels->multiprocessors ? tiles : kernels->multiprocessors;
    struct cuda_function *kernel = kernels->wide[(plan.width - widths[0]) / WIDER];
    const uint32_t grid[3] = {blocks, 1, 1};
    *parts = plan.parts;
    if (coded) /* it reads weights before it waits for the kernel that unpacks them */
        return card_launch_3d(card, kernel, grid, PRODUCT_THREADS, wide_shared(plan.width),
                              arguments, err);
    return card_launch_early(card, kernel, grid, PRODUCT_THREADS, wide_shared(plan.width),
                             arguments, err);
}
