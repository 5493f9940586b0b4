/* A block of the decode kernel: its shared memory, its place in the ring, and what its warps tell others. */
#ifndef PRONY_LLAMA_CUDA_DECODE_BLOCK_CUH
#define PRONY_LLAMA_CUDA_DECODE_BLOCK_CUH

#include "llama/cuda/codes.cuh"
#include "llama/cuda/meet.cuh"

enum { OP_QKV, OP_ATTENTION, OP_OUT, OP_GATE_UP, OP_DOWN, OPS, OP_LOGITS = OPS, OP_KINDS };

/* A block's part of a token's attention. */
struct attention_part {
    uint32_t splits; /* blocks that share a virtual head */
    uint32_t head;   /* the virtual one; none beyond the last */
    uint32_t split;
    uint32_t blocks; /* that attend */
    uint32_t kv, first, heads; /* key head, and the query heads of its group */
};

/* What the herald is to do when all that compute have arrived. */
struct order {
    uint32_t kind, value;
};
enum { ORDER_BEST, ORDER_ID, ORDER_END };

struct misc {
    uint64_t full[DECODE_MAX_STAGES], empty[DECODE_MAX_STAGES];
    uint64_t ordered[2]; /* all that compute have come to an order */
    uint64_t summed;     /* all have given their sum of a norm's squares */
    uint64_t best[DECODE_WARPS];
    float sum[DECODE_WARPS];
    float quantum[DECODE_WARPS]; /* of what each made of the input */
    float factor;                /* of the norm */
    float own[DECODE_OWN]; /* this block's rows of the residual stream */
    uint32_t begun;        /* tokens begun: keys of those before may be copied */
    attention_part part;   /* of this token */
    range share[OP_KINDS]; /* rows */
    int32_t id;            /* of the token whose layers are under way */
    uint32_t asked, stop;  /* what the host wants, and what all do */
    order orders[2]; /* written in turn: nobody gets two ahead of the herald */
};
static_assert(sizeof(misc) <= DECODE_MISC, "raise DECODE_MISC");

/* What a model's matrices hold: elements of type T, or codes beside it. */
template <typename ELEMENT, typename LAYERS, typename ENDS> struct decode_form {
    typedef ELEMENT element;
    typedef LAYERS layers;
    typedef ENDS ends; /* embedding and output */
};

/* What the warps of a block have in common. */
template <typename F, int SIZE> struct decode_block {
    typedef typename F::element T;
    typedef typename F::layers L;
    typedef typename F::ends E;
    typedef typename cache_type<T>::type C;
    enum {
        LAYERS = codes_of<L>::KIND,
        ENDS = codes_of<E>::KIND,
        SLOT = LAYERS == CODES_NF4    ? NF4_GROUPS * CODES_PIECE * NF4_UNIT
               : LAYERS == CODES_INT8 ? INT8_GROUPS * CODES_PIECE * INT8_UNIT
                                      : DECODE_STAGE, /* bytes of a stage */
        PACK = pack<T>::COUNT,
        STEPS = DECODE_STAGE / DECODE_WARPS / 512, /* of 16 bytes for each lane in a stage */
        CPACK = pack<C>::COUNT,
        LANES = SIZE / CPACK, /* that share a position */
        AT_ONCE = 32 / LANES, /* positions of one step */
        CHUNK = DECODE_STAGE / (SIZE * sizeof(C)),
    };
    static_assert(LANES <= 32 && CHUNK == DECODE_WARPS * STEPS * AT_ONCE, "head size");

    const decode_params &p;
    misc *m;
    char *stages;   /* [p.stages, SLOT] */
    float *vector;  /* [largest input]; nf4 takes four elements as halves, int8 as digits */
    float *partial; /* an operation's sums */
    uint32_t table; /* of nf4: where this lane's [256, 32] pairs of values are in shared memory */
    uint32_t warp, lane, block, blocks;
    uint32_t stage, parity; /* what this warp reads, or fills, next */
    uint32_t told;          /* parity of orders */

    __device__ __forceinline__ decode_block(const decode_params &params) : p(params)
    {
    }

    /* This block's rows of every operation: kept in shared memory, since registers are few, and
     * what the compiler spills goes through memory that the copies keep busy. */
    __device__ __forceinline__ void shares_find()
    {
        const cuda_shape &s = p.shape;
        const uint32_t rows[OP_KINDS] = {qkv_rows(&s), 0,        s.hidden,
                                         2 * s.ffn,    s.hidden, s.vocabulary};
#pragma unroll
        for (int i = 0; i < OP_KINDS; i++) {
            const codes_kind kind = kind_of(i);
            if (threadIdx.x == i)
                m->share[i] = rows_share(rows_held(kind, rows[i]), rows_unit(kind, i == OP_GATE_UP),
                                         block, blocks);
        }
    }

    /* What the matrix of an operation holds. */
    __device__ __forceinline__ codes_kind kind_of(uint32_t operation) const
    {
        return (codes_kind)(LAYERS == ENDS || operation != OP_LOGITS ? LAYERS : ENDS);
    }

    __device__ __forceinline__ const char *matrix_of(uint32_t operation, uint32_t layer) const
    {
        const cuda_weights &w = p.weights;
        if (operation == OP_LOGITS)
            return (const char *)w.output;
        return w.layers + layer * w.layer_bytes +
               (operation == OP_QKV       ? 0
                : operation == OP_OUT     ? w.wo
                : operation == OP_GATE_UP ? w.gate_up
                                          : w.down);
    }

    __device__ __forceinline__ void stage_next()
    {
        if (++stage == p.stages) {
            stage = 0;
            parity ^= 1;
        }
    }

    /* Whether an operation's input is without the factor of its norm, which all columns have in
     * common: the product's sums are multiplied by it then. */
    static __device__ __forceinline__ bool factor_left(uint32_t kind)
    {
        return kind == OP_QKV || kind == OP_GATE_UP || kind == OP_LOGITS;
    }
    /* That factor, when all warps have given their sums. */
    __device__ __forceinline__ float norm_factor() const
    {
        float sum = m->sum[lane % DECODE_WARPS];
#pragma unroll
        for (int way = DECODE_WARPS / 2; way > 0; way /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, way);
        return rsqrtf(__fdividef(sum, (float)p.shape.hidden) + p.shape.eps);
    }

    /* This block has its share of a vector, and has read all that came before. */
    __device__ __forceinline__ void count(uint32_t counter)
    {
        if (threadIdx.x == 0)
            count_up_alone(p.counters + counter * COUNTER_STEP);
    }
    /* Gives the herald an order, and does not wait for it. */
    __device__ __forceinline__ void tell(uint32_t kind, uint32_t value)
    {
        if (threadIdx.x == 0) {
            m->orders[told].kind = kind;
            m->orders[told].value = value;
        }
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->ordered[told]);
        told ^= 1;
    }

    __device__ __forceinline__ attention_part attention_share(uint32_t positions)
    {
        const cuda_shape &s = p.shape;
        attention_part a;
        const uint32_t width = attention_width(&s, sizeof(C), positions, blocks, p.chunks_alone);
        uint32_t passes = group_passes(&s, width), group = s.heads / s.kv_heads;
        a.splits = attention_splits(&s, width, sizeof(C), positions, blocks, p.chunks_alone);
        a.blocks = a.splits * s.kv_heads * passes;
        a.head = block / a.splits;
        a.split = block % a.splits;
        a.kv = a.head / passes;
        a.first = a.head % passes * width;
        a.heads = group - a.first < width ? group - a.first : width;
        return a;
    }
};
/* The names of the above in what is made of it. */
#define DECODE_BLOCK(base)                                                                         \
    typedef decode_block<F, SIZE> base;                                                            \
    typedef typename base::C C;                                                                    \
    typedef typename base::T T;                                                                    \
    typedef typename base::L L;                                                                    \
    typedef typename base::E E;                                                                    \
    using base::LAYERS, base::ENDS, base::SLOT, base::table, base::kind_of, base::matrix_of;       \
    using base::PACK, base::STEPS, base::CPACK, base::LANES, base::AT_ONCE, base::CHUNK;           \
    using base::p, base::m, base::stages, base::vector, base::partial, base::warp, base::lane;     \
    using base::block, base::blocks, base::stage, base::parity, base::told;                        \
    using base::stage_next, base::count, base::tell, base::attention_share;                        \
    using base::factor_left, base::norm_factor

#endif
