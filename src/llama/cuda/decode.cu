/* The whole token loop as one persistent kernel (Hopper), one block on each multiprocessor.
 *
 * Decoding one sequence is reading: all weights once a token. A block's share of them passes
 * through a ring of stages in shared memory, in the order of the operations. Its loader has the
 * bulk-copy engine fill what is free. Weights depend on nothing, so the ring fills while the block
 * waits for others' results, across the borders of operations, and what is waited for costs reading
 * time only when the ring is full. Keys and values of earlier tokens pass through the same ring.
 *
 * Blocks meet at counters in global memory: a block adds 1 when its share of a vector is under way,
 * and waits until all that it needs have, or most; the vector's words say themselves when they are
 * there (meet.cuh). Nothing is summed by atomics: every sum has one order, and the same ids come out of
 * every run.
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
    using products::norm_factor, products::factor_left;
    __device__ __forceinline__ decoder(const base &b) : decode_attention<F, SIZE>(b)
    {
    }

    /* Waits for an operation's input, which is in shared memory then; the first one's is the
     * embedding of id. */
    __device__ __forceinline__ void input_take(uint32_t kind, uint32_t layer, uint32_t step,
                                               uint32_t attended, int32_t id)
    {
        const cuda_shape &s = p.shape;
        if (kind == OP_OUT) {
            if (p.early == 0) /* x, which this operation changes, has been read */
                wait_for(COUNTER_QKV, step * blocks);
            wait_for(COUNTER_MIXED, attended - (p.early ? m->part.blocks / 2 : 0));
            vector_load(p.mixed, s.heads * SIZE, step & 1, kind);
            return;
        }
        if (kind == OP_DOWN) {
            wait_for(COUNTER_FFN, step * blocks - p.early);
            vector_load(p.ffn, s.ffn, step & 1, kind);
            return;
        }
        /* x has been added to twice in each layer */
        const float *weight =
            p.weights.norms + (size_t)(2 * layer + (kind == OP_GATE_UP)) * s.hidden;
        const float4 w = weight_load(weight, threadIdx.x * 4);
        if (kind == OP_QKV && layer == 0) {
            embed(weight, w, kind, id);
            return;
        }
        wait_for(COUNTER_X,
                 (2 * step - (kind == OP_QKV ? 2 : kind == OP_GATE_UP)) * blocks - p.early);
        const float *x = p.x;
        const uint32_t parity = kind == OP_GATE_UP;
        norm_load(weight, w, kind,
                  [=](uint32_t i) { return words_wait(words_get(x + i), x + i, parity); });
    }

    /* Of int8 the scales of this thread's rows of an operation: row i and that of the next round,
     * or both of a pair. Asked for before others are waited for. */
    __device__ __forceinline__ float2 scales_load(uint32_t kind, uint32_t layer)
    {
        float2 scale = make_float2(1, 1);
        if (LAYERS != CODES_INT8)
            return scale;
        const char *matrix = matrix_of(kind, layer);
        const uint32_t columns = columns_of(kind), end = m->share[kind].end;
        const uint32_t pair = kind == OP_GATE_UP;
        const uint32_t first = m->share[kind].begin + (threadIdx.x << pair);
        const uint32_t second = first + (pair ? 1 : THREADS);
        if (first < end)
            scale.x = code_scale<int8_codes>(matrix, columns, first, 0);
        if (second < end)
            scale.y = code_scale<int8_codes>(matrix, columns, second, 0);
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
        } else if (kind == OP_GATE_UP) {
            for (uint32_t i = threadIdx.x; i < rows / 2; i += THREADS) {
                float gate = layer_sum(partial, 2 * i, parts) * scale.x;
                float up = layer_sum(partial, 2 * i + 1, parts) * scale.y;
                word_store(p.ffn + begin / 2 + i, __fdividef(gate, 1 + expf(-gate)) * up, parity);
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
    __device__ __forceinline__ void token_begin(uint32_t token)
    {
        if (threadIdx.x == 0) {
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
        uint32_t step = 0, attended = 0; /* layers begun; blocks that have attended in all of them */
        int32_t id = *p.first;
#pragma unroll 1
        for (uint32_t token = 0; token < p.tokens; token++) {
            uint32_t stop = 0;
            if (block == 0 && threadIdx.x == 1)
                stop = *p.stop;
            token_begin(token);
#pragma unroll 1
            for (uint32_t layer = 0, kind = OP_QKV; layer <= s.layers;) {
                if (kind == OP_ATTENTION) {
                    attended += m->part.blocks;
                    if (m->part.kv < s.kv_heads)
                        attention(m->part, layer, p.position + token, step);
                    kind++;
                    continue;
                }
                step += kind == OP_QKV;
                float2 scale = scales_load(kind, layer);
                input_take(kind, layer, step, attended, id);
                if (ENDS != CODES_NONE && kind == OP_LOGITS)
                    break;
                const uint32_t rows = m->share[kind].end - m->share[kind].begin;
                const uint32_t columns = columns_of(kind);
                if (LAYERS == ENDS || kind != OP_LOGITS)
                    this->template product<L>(rows, columns, kind == OP_LOGITS ? vector : partial);
                else
                    this->template product<E>(rows, columns, vector);
                meet();
                if (kind == OP_LOGITS)
                    break;
                if (factor_left(kind)) {
                    const float factor = norm_factor();
                    scale = make_float2(scale.x * factor, scale.y * factor);
                }
                const tiling t = tiling_of(columns, sizeof(T));
                output_give(kind, rows, tiling_sums(&t), scale, step & 1);
                if (++kind == OPS) {
                    layer++;
                    kind = layer == s.layers ? OP_LOGITS : OP_QKV;
                }
            }
            const tiling t = tiling_of(s.hidden, sizeof(T));
            id = best_find(ENDS != CODES_NONE ? codes_best(token)
                                              : elements_best(tiling_sums(&t), token),
                           token, stop);
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
    /* Their sums are in their input's place. */
    __device__ __forceinline__ uint64_t elements_best(uint32_t parts, uint32_t token)
    {
        const range rows = m->share[OP_LOGITS];
        const float factor = norm_factor();
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
#pragma unroll 1
        for (uint32_t begin = all.begin; begin < all.end; begin += LOGITS_AT_ONCE) {
            const uint32_t rows =
                all.end - begin < LOGITS_AT_ONCE ? all.end - begin : LOGITS_AT_ONCE;
            const uint32_t id = begin + threadIdx.x;
            const bool has = threadIdx.x < rows && id < p.shape.vocabulary;
            const float scale =
                has ? code_scale<int8_codes>(matrix_of(OP_LOGITS, 0), hidden, id, 0) : 0;
            this->template product<E>(rows, hidden, partial);
            meet();
            const float factor = norm_factor() * scale;
            if (has)
                best = logit_take(best, codes_sum(partial, threadIdx.x) * factor, id, token);
            meet();
        }
        return best;
    }

    /* The largest of all logits' id, and whether the loop is to stop, known to all. */
    __device__ __forceinline__ int32_t best_find(uint64_t best, uint32_t token, uint32_t stop)
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
                p.best[blocks] = stop;
        }
        tell(ORDER_BEST, 0);
        wait_for<true>(COUNTER_BEST, (token + 1) * blocks);
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
