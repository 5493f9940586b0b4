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

#include "llama/cuda/codes.h"
#include "llama/draw.h"

struct cuda_shape {
    uint32_t hidden, layers, heads, kv_heads, head_size, ffn, vocabulary;
    uint32_t context; /* positions of the KV cache */
    float eps;
};

/* Where the next token is put, and how many there are: what a recorded step (step.h) goes on from.
 */
struct token_state {
    uint32_t position, made;
    struct draw draw; /* the first one's */
};
/* Where a token's id goes that has been chosen. */
struct chosen {
    int32_t *next;
    volatile int32_t *ids;     /* in host memory, the state's made-th; NULL: not told here */
    struct token_state *state; /* goes on by one; NULL: the id is the first, and none follows it */
};

/* What the matrices hold. */
struct cuda_form {
    uint32_t element;             /* bytes of what is no code, and of activations' type */
    enum codes_kind layers, ends; /* ends: embedding and output */
};

/* Where the weights are. Every layer's matrices lie in one block, the same for all layers. What
 * they hold are elements, or codes (codes.h). */
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

/* The decode kernel. One block runs on each multiprocessor. One of its warps has all that the block
 * reads copied, in the order of the operations, into a ring of stages in shared memory; 16 others
 * compute from them: a stage holds whole rows, or a piece of one. */
enum {
    DECODE_WARPS = 16,     /* that compute */
    DECODE_ALL_WARPS = 20, /* and a warpgroup with loader, herald and scout */
    DECODE_STAGE = 16384,  /* bytes */
    DECODE_GROUP = 4,      /* query heads that one pass over keys and values serves at most */
    DECODE_MAX_STAGES = 12,
    DECODE_LEAST_STAGES = 4,
    DECODE_WIDEST = 32768, /* columns of a matrix */
    DECODE_OWN = 32,       /* rows of the residual stream that a block may own */
    DECODE_MISC = 768      /* bytes of shared memory beside stages, vector and sums */
};

struct decode_params {
    struct cuda_shape shape;
    struct cuda_weights weights;
    struct nf4_values nf4;
    const float *frequency;        /* [head_size / 2] */
    void *keys, *values;           /* [layers, kv_heads, context, head_size] */
    float *qkv, *mixed, *x, *ffn;  /* vectors between operations */
    uint64_t *split;               /* [blocks, DECODE_GROUP, head_size + 2]: of attention */
    float *logits;                 /* [vocabulary], or NULL: not wanted */
    uint64_t *best;                /* [blocks]: each block's largest logit; then the stop flag */
    uint32_t *counters;            /* zeroed before the launch */
    struct draw draw;              /* of the first of the ids */
    const int32_t *first;          /* the id to begin with */
    volatile int32_t *ids;         /* [tokens] in host memory: written as they are made */
    const volatile uint32_t *stop; /* in host memory: not 0 ends the loop early */
    int32_t *last;                 /* device: the last id made */
    uint32_t position;             /* of the first id */
    uint32_t tokens;
    uint32_t stages;          /* of the ring */
    uint32_t vector, partial; /* bytes of the vector and of the sums in shared memory */
    uint32_t chunks_alone;    /* of keys, that one block attends to: more are shared, one each */
    uint32_t flight;          /* stages whose copies may be under way at a time */
    uint32_t early;           /* blocks that readers of x and ffn leave to the words themselves */
};

/* counters[]: each on its own cache line */
enum { COUNTER_STEP = 32 };
enum {
    COUNTER_QKV,   /* blocks that have written q, k and v, where not all do */
    COUNTER_MIXED, /* blocks that have merged their share of a head's attention */
    COUNTER_X,     /* blocks that have added to x: twice a layer */
    COUNTER_FFN,   /* blocks that have written ffn */
    COUNTER_BEST,  /* blocks that have found their largest logit */
    COUNTERS
};

struct range {
    uint32_t begin, end;
};

/* Rows of a matrix with those that fill up its last group, and of how many a share is made: pairs
 * where two rows give one result. */
BOTH uint32_t rows_held(enum codes_kind kind, uint32_t rows)
{
    return kind == CODES_NONE ? rows : codes_groups(rows) * CODES_ROWS;
}
BOTH uint32_t rows_unit(enum codes_kind kind, uint32_t pairs)
{
    return kind != CODES_NONE ? CODES_ROWS : pairs ? 2 : 1;
}

/* Block b's rows of a matrix: even shares, multiples of unit. */
BOTH struct range rows_share(uint32_t rows, uint32_t unit, uint32_t b, uint32_t blocks)
{
    uint64_t units = rows / unit;
    struct range range;
    range.begin = (uint32_t)(units * b / blocks) * unit;
    range.end = (uint32_t)(units * (b + 1) / blocks) * unit;
    return range;
}

/* How a matrix of so many columns fills stages: rows of them (1, 2, 4, 8 or 16), each by 16 / rows
 * warps; or one piece of a row, all rows' first pieces before the second ones. */
struct tiling {
    uint32_t rows, pieces, width; /* width: columns of a piece, but for the last one's */
};
BOTH struct tiling tiling_of(uint32_t columns, uint32_t element)
{
    struct tiling t;
    uint32_t pack = 16 / element;
    t.pieces = (columns * element + DECODE_STAGE - 1) / DECODE_STAGE;
    t.width = ((columns + t.pieces - 1) / t.pieces + pack - 1) / pack * pack;
    t.rows = 1;
    while (t.rows < DECODE_WARPS && 2 * t.rows * columns * element <= DECODE_STAGE)
        t.rows *= 2;
    return t;
}
/* Sums that each row has: of every piece, by every warp that shares it. */
BOTH uint32_t tiling_sums(const struct tiling *t)
{
    return DECODE_WARPS / t->rows * t->pieces;
}
/* The 16 bytes of a row's piece that one warp multiplies, counted from the piece's start. */
BOTH struct range warp_units(const struct tiling *t, uint32_t width, uint32_t element,
                             uint32_t warp)
{
    uint32_t warps = DECODE_WARPS / t->rows, units = width * element / 16;
    uint32_t each = (units + warps - 1) / warps;
    struct range range;
    range.begin = warp % warps * each;
    range.begin = range.begin < units ? range.begin : units;
    range.end = range.begin + each < units ? range.begin + each : units;
    return range;
}

/* Codes fill stages otherwise: with a piece of one group of rows, or two, of which each warp
 * multiplies two units; all groups' first pieces before the second ones. */
enum {
    CODES_WARP_UNITS = 2,
    CODES_PIECE = DECODE_WARPS * CODES_WARP_UNITS, /* units */
    INT8_GROUPS = 1,                               /* of a stage */
    NF4_GROUPS = 2,
    CODES_SUMS = DECODE_WARPS + 1, /* from a row's sums to the next one's: in other banks */
    LOGITS_AT_ONCE = 256           /* rows of codes whose sums are kept */
};
/* Bytes of a stage that each group has. */
BOTH uint32_t codes_piece_bytes(enum codes_kind kind)
{
    return CODES_PIECE * codes_unit_bytes(kind);
}
BOTH uint32_t stage_groups(enum codes_kind kind)
{
    return kind == CODES_INT8 ? INT8_GROUPS : NF4_GROUPS;
}
BOTH uint32_t stage_bytes(enum codes_kind kind)
{
    return kind == CODES_NONE ? DECODE_STAGE : stage_groups(kind) * codes_piece_bytes(kind);
}
/* Units of a row of a matrix, and pieces of them. */
struct codes_tiling {
    uint32_t units, pieces;
};
BOTH struct codes_tiling codes_tiling_of(uint32_t columns)
{
    struct codes_tiling t;
    t.units = codes_units(columns);
    t.pieces = (t.units + CODES_PIECE - 1) / CODES_PIECE;
    return t;
}
/* Units of a piece. */
BOTH uint32_t codes_piece_units(const struct codes_tiling *t, uint32_t piece)
{
    uint32_t units = t->units - piece * CODES_PIECE;
    return units < CODES_PIECE ? units : CODES_PIECE;
}
/* Units of a piece of so many, counted from its start, that a warp multiplies. */
BOTH struct range codes_warp_units(uint32_t units, uint32_t warp)
{
    struct range range;
    range.begin = warp * CODES_WARP_UNITS < units ? warp * CODES_WARP_UNITS : units;
    range.end = range.begin + CODES_WARP_UNITS < units ? range.begin + CODES_WARP_UNITS : units;
    return range;
}

/* Columns that the threads put into an input at a time, four each: of codes, a piece. A warp's are
 * those that it multiplies. */
enum { INPUT_ROUND = 4 * 32 * DECODE_WARPS };

/* Groups of up to width query heads: how many passes over a key head's cache. */
BOTH uint32_t group_passes(const struct cuda_shape *s, uint32_t width)
{
    return (s->heads / s->kv_heads + width - 1) / width;
}
/* Positions of a chunk: a stage of keys, and one of values. */
BOTH uint32_t chunk_positions(const struct cuda_shape *s, uint32_t element)
{
    return DECODE_STAGE / (s->head_size * element);
}
/* Blocks that one virtual head's positions are for, when there are so many in the cache. */
BOTH uint32_t attention_parts(const struct cuda_shape *s, uint32_t element, uint32_t positions,
                              uint32_t chunks_alone)
{
    uint32_t chunk = chunk_positions(s, element), chunks = (positions + chunk - 1) / chunk;
    return chunks <= chunks_alone ? 1 : chunks;
}
/* Query heads of a pass: one where each part of every head has a block of its own. */
BOTH uint32_t attention_width(const struct cuda_shape *s, uint32_t element, uint32_t positions,
                              uint32_t blocks, uint32_t chunks_alone)
{
    uint32_t parts = attention_parts(s, element, positions, chunks_alone);
    return s->heads * parts <= blocks ? 1 : DECODE_GROUP;
}
/* Blocks that share one virtual head's positions, of width query heads. */
BOTH uint32_t attention_splits(const struct cuda_shape *s, uint32_t width, uint32_t element,
                               uint32_t positions, uint32_t blocks, uint32_t chunks_alone)
{
    uint32_t most = blocks / (s->kv_heads * group_passes(s, width));
    uint32_t parts = attention_parts(s, element, positions, chunks_alone);
    return parts < most ? parts : most;
}

#endif
