/* Products of many tokens by a matrix on the tensor cores: how one is cut into tiles, and its
 * start. Hopper has kernels of its own (wgmma.cu); other cards take those of prefill.cu.
 *
 * out [tokens, rows] = x [tokens, columns] weights [rows, columns]^T, in float32. The columns may
 * be cut into parts, each with its own out, for whoever reads them to add in their order. */
#ifndef PRONY_LLAMA_CUDA_PRODUCT_H
#define PRONY_LLAMA_CUDA_PRODUCT_H

#include "llama/cuda/layout.h"

enum {
    PRODUCT_TOKENS = 128, /* of a tile */
    PRODUCT_DEPTH = 64,   /* columns of a step */
    PRODUCT_THREADS = 384,
    PRODUCT_MOST_PARTS = 8,
    PRODUCT_WIDTHS = 3 /* 128, 192 and 256 rows */
};
/* Steps whose tiles fit in shared memory together. */
#define PRODUCT_STAGES(width) ((width) == 256 ? 4 : (width) == 192 ? 5 : 6)

/* CUtensorMap: a matrix, or several of one shape, whose tiles the copy engine fetches. */
struct tensor_map {
#ifdef __CUDACC__
    __align__(64)
#else
    _Alignas(64)
#endif
        uint64_t words[16];
};

/* Of Hopper's kernels. */
struct product_arguments {
    struct tensor_map x, weights;
    void *out;
    uint32_t tokens, rows, columns;
    uint32_t layer; /* which of the matrices */
    uint32_t parts;
    uint32_t gated; /* out [tokens, rows / 2] of the weights' type = silu(even row) * odd row */
};

/* A tile of the result, and the steps of its share of the columns. */
struct product_tile {
    uint32_t token, row, part, begin, end;
};
BOTH uint32_t product_tiles(uint32_t width, uint32_t tokens, uint32_t rows)
{
    return (tokens + PRODUCT_TOKENS - 1) / PRODUCT_TOKENS * ((rows + width - 1) / width);
}
/* The tiles of a product, one after the other: those computed together share weights. */
BOTH struct product_tile product_tile(uint32_t i, uint32_t width, uint32_t tokens, uint32_t rows,
                                      uint32_t columns, uint32_t parts)
{
    uint32_t down = (tokens + PRODUCT_TOKENS - 1) / PRODUCT_TOKENS;
    uint32_t across = (rows + width - 1) / width, steps = columns / PRODUCT_DEPTH;
    struct product_tile t;
    t.token = i % down * PRODUCT_TOKENS;
    t.row = i / down % across * width;
    t.part = i / down / across;
    t.begin = steps * t.part / parts;
    t.end = steps * (t.part + 1) / parts;
    return t;
}

#ifndef __CUDACC__
#include "llama/cuda/card.h"

/* How a product is cut. */
struct product_plan {
    uint32_t width, parts;
};
/* The cut that should take least time on so many multiprocessors, of tiles up to `widest` rows
 * wide; a gated product has one part. */
struct product_plan product_plan(uint32_t tokens, uint32_t rows, uint32_t columns, bool gated,
                                 uint32_t widest, uint32_t multiprocessors);
/* Bytes of out that every cut has room in. */
uint64_t product_out_bytes(uint32_t most_tokens, uint32_t most_rows, uint32_t multiprocessors);

/* The kernels for weights of one type. */
struct product_kernels {
    struct cuda_function *wide[PRODUCT_WIDTHS]; /* Hopper's; NULL on other cards */
    struct cuda_function *large, *small,
        *one; /* any card's, for many, for few tokens and for one */
    uint32_t multiprocessors;
};

/* A product that every layer has: its input, and its matrices. */
struct product {
    cuda_pointer x;
    const char *weights; /* of layer 0 */
    uint64_t layer_bytes;
    uint32_t rows, columns; /* of a matrix; columns are a multiple of PRODUCT_DEPTH */
    bool gated;
    enum codes_kind codes; /* that the matrices hold; as float16 they are in scratch, one by one */
    cuda_pointer scratch;
    const struct codes_kernels *unpack;
    struct tensor_map x_map, weights_map; /* Hopper's */
};

/* Describes an array of 16 bits [sizes[2], sizes[1], sizes[0]] with strides in bytes to the copy
 * engine, which fetches boxes of it in the order that the tensor cores want; outside it is 0. */
enum status tensor_map_make(struct tensor_map *map, const struct card *card, cuda_pointer at,
                            const uint64_t sizes[3], const uint64_t strides[2],
                            const uint32_t box[3], struct error *err);

/* Finds the kernels for weights of F16 or BF16; plain has those of prefill.cu. */
enum status product_open(struct product_kernels *kernels, struct card *card,
                         struct cuda_module *plain, enum llama_precision precision,
                         struct error *err);
/* Describes x, which has room for so many tokens, and the weights of all layers to Hopper's copy
 * engine. */
enum status product_describe(struct product *product, const struct product_kernels *kernels,
                             const struct card *card, uint32_t most_tokens, uint32_t layers,
                             struct error *err);
/* Starts it for count tokens; *parts is how many out has. */
enum status product_start(const struct product *product, const struct product_kernels *kernels,
                          const struct card *card, uint32_t layer, uint32_t count, cuda_pointer out,
                          uint32_t *parts, struct error *err);
/* The same by the kernels that any card has, of any matrix. */
enum status product_start_plain(const struct product_kernels *kernels, const struct card *card,
                                cuda_pointer x, const void *weights, uint32_t rows,
                                uint32_t columns, uint32_t count, bool gated, uint32_t parts,
                                cuda_pointer out, struct error *err);
#endif

#endif
