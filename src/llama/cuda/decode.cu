/* The whole token loop as one persistent kernel (Hopper), one block on each multiprocessor.
 *
 * Decoding one sequence is reading: all weights once a token. A block's share of them passes
 * through a ring of stages in shared memory, in the order of the operations. Its loader has the
 * bulk-copy engine fill what is free. Weights depend on nothing, so the ring fills while the block
 * waits for others' results, across the borders of operations, and what is waited for costs reading
 * time only when the ring is full. Keys and values of earlier tokens pass through the same ring.
 *
 * Blocks meet at counters in global memory: a block adds 1 when its share of a vector is under way,
 * and its scout waits until all that it needs have, or most, while the others take what they begin
 * with; the vector's words say themselves when they are there (meet.cuh). Nothing is summed by
 * atomics: every sum has one order, and the same ids come out of every run.
 *
 * Two things that cost more than they look: a fence waits for the copies that its own warp has
 * under way, so the loader and the herald, who tells, are warps of their own; and any other access
 * queues behind the block's copies, so only a few are under way at a time, however large the ring.
 */
#include "llama/cuda/decode_attention.cuh"
#include "llama/cuda/decode_loader.cuh"
#include "llama/cuda/registers.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { COMPUTE_REGISTERS = 104, OTHER_REGISTERS = 64 };

template <typename F, int SIZE> struct decoder : decode_attention<F, SIZE> {
    DECODE_BLOCK(base);
    typedef decode_product<F, SIZE> products;
    using products::embed, decode_attention<F, SIZE>::attention;
    using products::row_sum, products::layer_sum, products::codes_sum;
    using products::vector_load, products::weight_load, products::norm_load;
    __device__ __forceinline__ decoder(const base &b) : decode_attention<F, SIZE>(b)
    {
    }

    /* Waits for an operation's input, which is in shared memory then; the first one's is the token's
     * embedding. */
    __device__ __forceinline__ void input_take(uint32_t kind, uint32_t layer, uint32_t step)
    {
        if (kind == OP_OUT || kind == OP_DOWN) {
            scout_meet<SCOUT_INPUT>();
            vector_load(kind == OP_OUT ? p.mixed : p.ffn, columns_of(kind), step & 1, kind);
            return;
        }
        const float *weight =
            p.weights.norms + (size_t)(2 * layer + (kind == OP_GATE_UP)) * p.shape.hidden;
        const float4 w = weight_load(weight, threadIdx.x * 4);
        scout_meet<SCOUT_INPUT>();
        if (kind == OP_QKV && layer == 0) {
            embed(weight, w, kind, m->id);
            return;
        }
        const float *x = p.x;
        const uint32_t parity = kind == OP_GATE_UP;
        norm_load(weight, w, kind,
                  [=](uint32_t i) { return words_wait(words_get(x + i), x + i, parity); });
    }

    /* Of int8 the scales of this thread's rows of an operation: row i and that of the next round.
     * Asked for before others are waited for. */
    __device__ __forceinline__ float2 scales_load(uint32_t kind, uint32_t layer)
    {
        float2 scale = make_float2(1, 1);
        if (LAYERS != CODES_INT8)
            return scale;
        const char *matrix = matrix_of(kind, layer);
        const uint32_t columns = columns_of(kind), end = m->share[kind].end;
        const uint32_t row = m->share[kind].begin + threadIdx.x;
        if (row < end)
            scale.x = code_scale<int8_codes>(matrix, columns, row, 0);
        if (row + THREADS < end)
            scale.y = code_scale<int8_codes>(matrix, columns, row + THREADS, 0);
        return scale;
    }

    /* What comes of an operation's sums, to the other blocks. */
    __device__ __forceinline__ void output_give(uint32_t kind, uint32_t rows, uint32_t parts,
                                                float2 scale, uint32_t parity)
    {
        const uint32_t begin = m->share[kind].begin;
        if (kind == OP_QKV) {
            for (uint32_t i = threadIdx.x; i < rows; i += THREADS, scale.x = scale.y)
                word_store(p.qkv + begin + i, layer_sum(partial, i, parts) * scale.x, parity);
            if (p.early == 0)
                count(COUNTER_QKV);
        } else if (kind == OP_GATE_UP) { /* rows in turn: a lane has one, its neighbour the other */
            for (uint32_t i = threadIdx.x; i - lane < rows; i += THREADS, scale.x = scale.y) {
                const float gate = i < rows ? layer_sum(partial, i, parts) * scale.x : 0;
                const float up = __shfl_down_sync(0xffffffffu, gate, 1);
                if (i < rows && lane % 2 == 0)
                    word_store(p.ffn + (begin + i) / 2, __fdividef(gate, 1 + expf(-gate)) * up,
                               parity);
            }
            count(COUNTER_FFN);
        } else {
            uint32_t i = threadIdx.x;
            if (i < rows) {
                m->own[i] += layer_sum(partial, i, parts) * scale.x;
                word_store(p.x + begin + i, m->own[i], kind == OP_OUT);
            }
            count(COUNTER_X);
        }
    }

    __device__ __forceinline__ uint32_t columns_of(uint32_t kind) const
    {
        const cuda_shape &s = p.shape;
        return kind == OP_OUT ? s.heads * SIZE : kind == OP_DOWN ? s.ffn : s.hidden;
    }

    /* The kernel may read this block's part of the cache; what it is, is known to all. */
    __device__ __forceinline__ void token_begin(uint32_t token, int32_t id)
    {
        if (threadIdx.x == 0) {
            m->id = id;
            const uint32_t positions = p.position + token;
            m->part = attention_share(positions);
            asm volatile("fence.proxy.async;" ::: "memory");
            asm volatile("st.release.cta.shared.u32 [%0], %1;" ::"r"(shared_address(&m->begun)),
                         "r"(token + 1)
                         : "memory");
        }
        meet();
    }

    __device__ __forceinline__ void run()
    {
        const cuda_shape &s = p.shape;
        int32_t id = *p.first;
#pragma unroll 1
        for (uint32_t token = 0; token < p.tokens; token++) {
            token_begin(token, id);
#pragma unroll 1
            for (uint32_t layer = 0, kind = OP_QKV; layer <= s.layers;) {
                /* layers begun; logits have none */
                const uint32_t step = token * s.layers + layer + 1;
                if (kind == OP_ATTENTION) {
                    if (m->part.kv < s.kv_heads)
                        attention(m->part, layer, p.position + token, step);
                    kind++;
                    continue;
                }
                const uint32_t rows = m->share[kind].end - m->share[kind].begin;
                const uint32_t columns = columns_of(kind);
                codes_held<L> held = {};
                codes_held<E> none = {};
                if (kind != OP_LOGITS)
                    this->product_begin(held, rows);
                float2 scale = scales_load(kind, layer);
                input_take(kind, layer, step);
                if (ENDS != CODES_NONE && kind == OP_LOGITS)
                    break;
                if (LAYERS == ENDS || kind != OP_LOGITS)
                    this->product(rows, columns, kind == OP_LOGITS ? vector : partial, held);
                else
                    this->product(rows, columns, vector, none);
                scout_meet<SCOUT_DONE>();
                if (kind == OP_LOGITS)
                    break;
                if (factor_left(kind)) {
                    const float factor = m->factor;
                    scale = make_float2(scale.x * factor, scale.y * factor);
                }
                const tiling t = tiling_of(columns, sizeof(T));
                output_give(kind, rows, tiling_sums(&t), scale, step & 1);
                if (++kind == OPS) {
                    layer++;
                    kind = layer == s.layers ? OP_LOGITS : OP_QKV;
                }
            }
            id = best_find(logits_best(token), token);
            if (block == 0)
                tell(ORDER_ID, id);
            if (m->stop)
                break;
        }
        tell(ORDER_END, 0);
    }

    /* Of this thread's logits the largest, as they are drawn, and its id. */
    __device__ __forceinline__ uint64_t logit_take(uint64_t best, float logit, uint32_t id,
                                                   uint32_t token)
    {
        if (p.logits)
            p.logits[id] = logit;
        if (p.draw.temperature > 0)
            logit = logit_drawn(draw_after(p.draw, token), logit, id);
        const uint64_t rank = rank_of(logit, id);
        return rank > best ? rank : best;
    }
    __device__ __forceinline__ uint64_t logits_best(uint32_t token)
    {
        if constexpr (ENDS != CODES_NONE)
            return codes_best(token);
        else
            return elements_best(token);
    }
    /* Their sums are in their input's place. */
    __device__ __forceinline__ uint64_t elements_best(uint32_t token)
    {
        const range rows = m->share[OP_LOGITS];
        const tiling t = tiling_of(p.shape.hidden, sizeof(T));
        const uint32_t parts = tiling_sums(&t);
        const float factor = m->factor;
        uint64_t best = 0;
        for (uint32_t i = threadIdx.x; i < rows.end - rows.begin; i += THREADS)
            best = logit_take(best, row_sum(vector, i, parts) * factor, rows.begin + i, token);
        return best;
    }
    /* Multiplies codes of int8, some rows after the other. */
    __device__ __forceinline__ uint64_t codes_best(uint32_t token)
    {
        const range all = m->share[OP_LOGITS];
        const uint32_t hidden = p.shape.hidden;
        uint64_t best = 0;
        scout_meet<SCOUT_DONE>();
#pragma unroll 1
        for (uint32_t begin = all.begin; begin < all.end; begin += LOGITS_AT_ONCE) {
            const uint32_t rows =
                all.end - begin < LOGITS_AT_ONCE ? all.end - begin : LOGITS_AT_ONCE;
            const uint32_t id = begin + threadIdx.x;
            const bool has = threadIdx.x < rows && id < p.shape.vocabulary;
            const float scale =
                has ? code_scale<int8_codes>(matrix_of(OP_LOGITS, 0), hidden, id, 0) : 0;
            codes_held<E> held = {};
            this->product_begin(held, rows);
            this->product(rows, hidden, partial, held);
            meet();
            const float factor = m->factor * scale;
            if (has)
                best = logit_take(best, codes_sum(partial, threadIdx.x) * factor, id, token);
            meet();
        }
        return best;
    }

    /* The largest of all logits' id, and whether the loop is to stop, known to all. */
    __device__ __forceinline__ int32_t best_find(uint64_t best, uint32_t token)
    {
        best = warp_max(best);
        if (lane == 0)
            m->best[warp] = best;
        meet();
        if (threadIdx.x == 1) {
            best = 0;
            for (int w = 0; w < DECODE_WARPS; w++)
                best = m->best[w] > best ? m->best[w] : best;
            p.best[block] = best;
            if (block == 0)
                p.best[blocks] = m->asked;
        }
        tell(ORDER_BEST, 0);
        if (threadIdx.x == 1)
            count_wait<true>(p.counters + COUNTER_BEST * COUNTER_STEP, (token + 1) * blocks);
        meet();
        best = 0;
        for (uint32_t i = threadIdx.x; i < blocks; i += THREADS) {
            uint64_t other = __ldcg((const unsigned long long *)p.best + i);
            best = other > best ? other : best;
        }
        best = warp_max(best);
        if (lane == 0)
            m->best[warp] = best;
        if (threadIdx.x == 1)
            m->stop = (uint32_t)__ldcg((const unsigned long long *)p.best + blocks);
        meet();
        best = m->best[0];
#pragma unroll
        for (int w = 1; w < DECODE_WARPS; w++)
            best = m->best[w] > best ? m->best[w] : best;
        return rank_id(best);
    }
};

template <typename F, int SIZE> __device__ __forceinline__ void decode(const decode_params &p)
{
    extern __shared__ __align__(128) char shared[];
    decode_block<F, SIZE> d(p);
    d.warp = threadIdx.x / 32;
    d.lane = threadIdx.x % 32;
    d.block = blockIdx.x;
    d.blocks = gridDim.x;
    d.stages = shared;
    d.vector = reinterpret_cast<float *>(shared + (size_t)p.stages * d.SLOT);
    d.m = reinterpret_cast<misc *>((char *)d.vector + p.vector);
    d.partial = reinterpret_cast<float *>((char *)d.m + DECODE_MISC);
    if (d.LAYERS == CODES_NF4) {
        uint32_t *table = reinterpret_cast<uint32_t *>((char *)d.partial + p.partial);
        table_fill(table, p.nf4, 32 * DECODE_ALL_WARPS);
        d.table = shared_address(table + d.lane);
    }
    d.stage = d.parity = d.told = 0;
    if (threadIdx.x < DECODE_MAX_STAGES) {
        barrier_init(&d.m->full[threadIdx.x], 1);
        barrier_init(&d.m->empty[threadIdx.x], DECODE_WARPS);
    }
    if (threadIdx.x == 0) {
        barrier_init(&d.m->ordered[0], DECODE_WARPS);
        barrier_init(&d.m->ordered[1], DECODE_WARPS);
        barrier_init(&d.m->summed, DECODE_WARPS);
        d.m->begun = d.m->stop = 0;
    }
    d.shares_find();
    barriers_publish();
    __syncthreads();
    if (d.warp < DECODE_WARPS) {
        registers_take<COMPUTE_REGISTERS>();
        decoder<F, SIZE>(d).run();
    } else {
        registers_give<OTHER_REGISTERS>();
        if (d.warp == DECODE_WARPS + 1)
            decode_loader<F, SIZE>(d).herald();
        else if (d.warp == DECODE_WARPS + 2)
            decode_loader<F, SIZE>(d).scout();
        else if (d.warp == DECODE_WARPS && d.lane == 0)
            decode_loader<F, SIZE>(d).load();
    }
}

#define DECODE_KERNEL(T, L, E, suffix, size)                                                       \
    extern "C" __global__ void __launch_bounds__(32 * DECODE_ALL_WARPS, 1)                         \
        decode_##suffix##_##size(const __grid_constant__ decode_params p)                          \
    {                                                                                              \
        decode<decode_form<T, L, E>, size>(p);                                                     \
    }
#else
#define DECODE_KERNEL(T, L, E, suffix, size)                                                       \
    extern "C" __global__ void decode_##suffix##_##size(const __grid_constant__ decode_params p)   \
    {                                                                                              \
    }
#endif

#define DECODE_KERNELS(T, L, E, suffix)                                                            \
    DECODE_KERNEL(T, L, E, suffix, 64)                                                             \
    DECODE_KERNEL(T, L, E, suffix, 128)

DECODE_KERNELS(float, float, float, f32)
DECODE_KERNELS(half_t, half_t, half_t, f16)
DECODE_KERNELS(bfloat_t, bfloat_t, bfloat_t, bf16)
DECODE_KERNELS(half_t, int8_codes, int8_codes, int8)
DECODE_KERNELS(half_t, nf4_codes, half_t, nf4)
