/* What the host and the CUDA kernels agree on: shapes, the order of rows in device memory, the
 * parameters of the decode kernel, and how its work is split over the multiprocessors.
 *
 * Rows in device memory, so that every step reads one contiguous block:
 *   qkv      for each key head: the rows of its query heads, of its key, of its value; q and k
 *            rows are in the order of half-split rope, whatever the file has
 *   gate_up  gate 0, up 0, gate 1, up 1, ... */
#ifndef PRONY_LLAMA_CUDA_LAYOUT_H
#define PRONY_LLAMA_CUDA_LAYOUT_H

#include <stdint.h>

#ifdef __CUDACC__
#define BOTH __host__ __device__ __forceinline__
#else
#define BOTH static inline
#endif

struct cuda_shape {
    uint32_t hidden, layers, heads, kv_heads, head_size, ffn, vocabulary;
    uint32_t context; /* positions of the KV cache */
    float eps;
};

/* Where the weights are. Every layer's matrices lie in one block, the same for all layers. */
struct cuda_weights {
    const void *embedding, *output; /* [vocabulary, hidden]; the same when tied */
    const char *layers;             /* qkv [qkv_rows, hidden] of layer 0 */
    uint64_t layer_bytes;           /* from a layer to the next */
    uint64_t wo;                    /* [hidden, heads * head_size]: bytes from the layer's start */
    uint64_t gate_up;               /* [2 * ffn, hidden] */
    uint64_t down;                  /* [hidden, ffn] */
    const float *norms;             /* [layers, 2, hidden], then the last one [hidden] */
};

/* Rows of the fused product of one key head, and of all. */
BOTH uint32_t qkv_head_rows(const struct cuda_shape *s)
{
    return (s->heads / s->kv_heads + 2) * s->head_size;
}
BOTH uint32_t qkv_rows(const struct cuda_shape *s)
{
    return qkv_head_rows(s) * s->kv_heads;
}

/* The decode kernel. One block runs on each multiprocessor; each of its warps streams its own
 * segments of the weights through slots of shared memory: a segment is a row, or a piece of one of
 * DECODE_SLOT bytes. */
enum {
    DECODE_WARPS = 16,
    DECODE_SLOT = 4096,   /* bytes of a segment */
    DECODE_GROUP = 4,     /* query heads that one pass over keys and values serves */
    DECODE_MAX_SLOTS = 4, /* of one warp */
    DECODE_OWN = 64,      /* rows of the residual stream that a block may own */
    DECODE_MISC = 1792    /* shared memory beside slots, vector and sums */
};

struct decode_params {
    struct cuda_shape shape;
    struct cuda_weights weights;
    const float *frequency;        /* [head_size / 2] */
    void *keys, *values;           /* [layers, kv_heads, context, head_size] */
    float *qkv, *mixed, *x, *ffn;  /* vectors between operations */
    float *split;                  /* [virtual heads, splits, DECODE_GROUP, head_size + 2] */
    float *logits;                 /* [vocabulary], or NULL: not wanted */
    uint64_t *best;                /* [blocks]: each block's largest logit; then the stop flag */
    uint32_t *counters;            /* zeroed before the launch */
    const int32_t *first;          /* the id to begin with */
    volatile int32_t *ids;         /* [tokens] in host memory: written as they are made */
    const volatile uint32_t *stop; /* in host memory: not 0 ends the loop early */
    int32_t *last;                 /* device: the last id made */
    uint32_t position;             /* of the first id */
    uint32_t tokens;
    uint32_t slots;           /* of each warp */
    uint32_t vector, partial; /* bytes of the vector and of the sums in shared memory */
    uint32_t chunks_per_warp; /* of keys, before another block shares a head */
};

/* counters[]: each on its own cache line */
enum { COUNTER_STEP = 32 };
enum {
    COUNTER_MIXED, /* heads whose attention is done */
    COUNTER_X,     /* blocks that have added to x: twice a layer */
    COUNTER_FFN,   /* blocks that have written ffn */
    COUNTER_BEST,  /* blocks that have found their largest logit */
    COUNTER_HEADS  /* [kv_heads]: blocks that have written rows of a head's qkv;
                    * [virtual heads]: blocks that have written their split */
};
BOTH uint32_t counter_count(const struct cuda_shape *s)
{
    return (COUNTER_HEADS + s->kv_heads + s->heads) * COUNTER_STEP;
}

struct range {
    uint32_t begin, end;
};

/* Block b's rows of a matrix: even shares, multiples of unit. */
BOTH struct range rows_share(uint32_t rows, uint32_t unit, uint32_t b, uint32_t blocks)
{
    uint64_t units = rows / unit;
    struct range range;
    range.begin = (uint32_t)(units * b / blocks) * unit;
    range.end = (uint32_t)(units * (b + 1) / blocks) * unit;
    return range;
}

/* The block whose share (of unit 1) has a row. */
BOTH uint32_t row_owner(uint32_t rows, uint32_t row, uint32_t blocks)
{
    return (uint32_t)((((uint64_t)row + 1) * blocks + rows - 1) / rows) - 1;
}

/* Segments of a block's share of a matrix that one warp takes: rows begin, begin + step, ... of
 * the share (count of them), columns from piece * the piece's size on. */
struct segments {
    uint32_t piece, pieces, begin, step, count;
};
BOTH struct segments segments_of(uint32_t columns, uint32_t element, uint32_t rows, uint32_t warp)
{
    struct segments s;
    s.pieces = (columns * element + DECODE_SLOT - 1) / DECODE_SLOT;
    s.step = DECODE_WARPS / s.pieces;
    s.piece = warp % s.pieces;
    s.begin = warp / s.pieces;
    s.count = s.begin < s.step && s.begin < rows ? (rows - s.begin + s.step - 1) / s.step : 0;
    return s;
}

/* Groups of up to DECODE_GROUP query heads: how many passes over a key head's cache. */
BOTH uint32_t group_passes(const struct cuda_shape *s)
{
    return (s->heads / s->kv_heads + DECODE_GROUP - 1) / DECODE_GROUP;
}
/* Positions of a chunk: a slot of keys, and one of values. */
BOTH uint32_t chunk_positions(const struct cuda_shape *s, uint32_t element)
{
    return DECODE_SLOT / (s->head_size * element);
}
/* Blocks that share one virtual head's positions, when there are so many in the cache. */
BOTH uint32_t attention_splits(const struct cuda_shape *s, uint32_t element, uint32_t positions,
                               uint32_t blocks, uint32_t chunks_per_warp)
{
    uint32_t chunk = chunk_positions(s, element), most = blocks / (s->kv_heads * group_passes(s));
    uint32_t chunks = (positions + chunk - 1) / chunk;
    uint32_t splits =
        (chunks + DECODE_WARPS * chunks_per_warp - 1) / (DECODE_WARPS * chunks_per_warp);
    return splits < 1 ? 1 : splits > most ? most : splits;
}

#endif
