/* The whole token loop as one persistent kernel (Hopper), one block on each multiprocessor.
 *
 * Decoding one sequence is reading: all weights once a token. A block's share of them passes through
 * a ring of stages in shared memory, in the order of the operations. Its loader has the bulk-copy
 * engine fill what is free. Weights depend on nothing, so the ring fills while the block waits for
 * others' results, across the borders of operations, and what is waited for costs reading time only
 * when the ring is full. Keys and values of earlier tokens pass through the same ring.
 *
 * Blocks meet at counters in global memory: a block adds 1 when its share of a vector is written,
 * and waits until all that it needs have. Nothing is summed by atomics: every sum has one order,
 * and the same ids come out of every run.
 *
 * Two things that cost more than they look: a fence waits for the copies that its own warp has under
 * way, so the loader and the herald, who tells, are warps of their own; and any other access queues
 * behind the block's copies, so only a few are under way at a time, however large the ring. */
#include "llama/cuda/barrier.cuh"
#include "llama/cuda/element.cuh"
#include "llama/cuda/layout.h"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { THREADS = 32 * DECODE_WARPS }; /* that compute */

/* -- waiting, counting, copying ------------------------------------------------------------- */

/* Weights are read once a token: they leave the L2 first. */
__device__ __forceinline__ void copy_bulk(void *to, const void *from, uint32_t bytes,
                                          uint64_t *barrier, uint64_t policy)
{
    barrier_expect(barrier, bytes);
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
                 " [%0], [%1], %2, [%3], %4;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier)), "l"(policy)
                 : "memory");
}
__device__ __forceinline__ void count_up(uint32_t *counter)
{
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}
__device__ __forceinline__ uint32_t count_get(const uint32_t *counter)
{
    uint32_t value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
}
__device__ __forceinline__ void count_wait(const uint32_t *counter, uint32_t target)
{
    if ((int32_t)(count_get(counter) - target) >= 0)
        return;
    uint64_t start = clock_ns();
    uint32_t polls = 0;
    while ((int32_t)(count_get(counter) - target) < 0)
        if (++polls % 1024 == 0 && clock_ns() - start > TIMEOUT_NS)
            __trap();
}
/* Vectors between blocks never come from the first-level cache, which is not coherent. */
__device__ __forceinline__ float4 load4(const float *p)
{
    return __ldcg(reinterpret_cast<const float4 *>(p));
}

/* Barriers among a block's threads: those that compute; they and the herald, for an order (two in
 * turn) and for an answer. */
enum { BARRIER_COMPUTE = 1, BARRIER_ANSWER, BARRIER_ORDER, BARRIERS = BARRIER_ORDER + 2 };
__device__ __forceinline__ void barrier_meet(int barrier, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
__device__ __forceinline__ void barrier_pass(int barrier, int threads)
{
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
/* All that compute meet. */
__device__ __forceinline__ void meet()
{
    asm volatile("bar.sync 1, %0;" ::"n"(32 * DECODE_WARPS) : "memory");
}

/* -- shared memory -------------------------------------------------------------------------- */

enum { OP_QKV, OP_ATTENTION, OP_OUT, OP_GATE_UP, OP_DOWN, OPS, OP_LOGITS = OPS, OP_KINDS };

/* What the herald is to do when all that compute have arrived. */
struct order {
    uint32_t kind, value;
};
enum { ORDER_COUNT, ORDER_HEADS, ORDER_SPLIT, ORDER_ID, ORDER_END };

struct misc {
    uint64_t full[DECODE_MAX_STAGES], empty[DECODE_MAX_STAGES];
    uint64_t best[DECODE_WARPS];
    float sum[DECODE_WARPS];
    float own[DECODE_OWN]; /* this block's rows of the residual stream */
    uint32_t begun;        /* tokens whose keys may be copied */
    uint32_t split_head;   /* the virtual head that this block has a split of */
    uint32_t last;         /* this block was the last of its head's splits */
    uint32_t stop;
    order orders[2]; /* written in turn: nobody gets two ahead of the herald */
};
static_assert(sizeof(misc) <= DECODE_MISC, "raise DECODE_MISC");

/* -- the kernel ----------------------------------------------------------------------------- */

/* A block's part of a token's attention. */
struct attention_part {
    uint32_t splits; /* blocks that share a virtual head */
    uint32_t head;   /* the virtual one; none beyond the last */
    uint32_t split;
    uint32_t kv, first, heads; /* key head, and the query heads of its group */
    uint32_t writers;          /* blocks that write its rows of qkv */
};

template <typename T, int SIZE> struct decoder {
    typedef typename cache_type<T>::type C;
    enum {
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
    char *stages;   /* [p.stages, DECODE_STAGE] */
    float *vector;  /* [largest input] */
    float *partial; /* an operation's sums */
    uint32_t warp, lane, block, blocks;
    uint32_t stage, parity; /* what this warp reads, or fills, next */
    uint32_t told;          /* which of the orders is next */

    __device__ decoder(const decode_params &params) : p(params)
    {
    }

    __device__ __forceinline__ void stage_next()
    {
        if (++stage == p.stages) {
            stage = 0;
            parity ^= 1;
        }
    }

    /* -- the loader -- */

    /* Has bytes copied to the next stage when it is free; false when the loop has ended. */
    __device__ __forceinline__ bool stage_fill(const void *from, uint32_t bytes, uint64_t policy)
    {
        if (!barrier_try(&m->empty[stage], parity ^ 1)) {
            uint64_t start = clock_ns();
            while (!barrier_try(&m->empty[stage], parity ^ 1)) {
                if (*(volatile uint32_t *)&m->stop)
                    return false;
                if (clock_ns() - start > TIMEOUT_NS)
                    __trap();
            }
        }
        /* Copies under way delay whatever else this block asks of the memory: no more of them than
         * keep it busy, though the ring may hold many that are done. */
        uint32_t before = stage + p.stages - p.flight;
        bool wrapped = before >= p.stages;
        before -= wrapped ? p.stages : 0;
        barrier_wait(&m->full[before], wrapped ? parity : parity ^ 1);
        copy_bulk(stages + stage * DECODE_STAGE, from, bytes, &m->full[stage], policy);
        stage_next();
        return true;
    }

    __device__ __forceinline__ bool matrix_load(const char *matrix, range rows, uint32_t columns)
    {
        const uint64_t once = 0x12F0000000000000ull; /* weights are the first to leave the L2 */
        tiling t = tiling_of(columns, sizeof(T));
        uint32_t row_bytes = columns * sizeof(T);
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t width = columns - piece * t.width;
            width = width < t.width ? width : t.width;
            const char *from =
                matrix + (uint64_t)rows.begin * row_bytes + piece * t.width * sizeof(T);
            for (uint32_t r = rows.begin; r < rows.end; r += t.rows) {
                uint32_t count = rows.end - r < t.rows ? rows.end - r : t.rows;
                if (!stage_fill(from, t.pieces > 1 ? width * sizeof(T) : count * row_bytes, once))
                    return false;
                from += t.rows * row_bytes;
            }
        }
        return true;
    }

    /* Keys of the token before are there only when this one has begun. */
    __device__ __forceinline__ bool keys_wait(uint32_t token)
    {
        uint64_t start = clock_ns();
        for (;;) {
            uint32_t begun;
            asm volatile("ld.acquire.cta.shared.u32 %0, [%1];"
                         : "=r"(begun)
                         : "r"(shared_address(&m->begun))
                         : "memory");
            if (begun > token)
                break;
            if (*(volatile uint32_t *)&m->stop)
                return false;
            if (clock_ns() - start > TIMEOUT_NS)
                __trap();
        }
        asm volatile("fence.proxy.async;" ::: "memory");
        return true;
    }

    __device__ __forceinline__ bool chunks_load(const attention_part &a, uint32_t layer,
                                                uint32_t positions)
    {
        const cuda_shape &s = p.shape;
        const uint64_t kept = 0x14F0000000000000ull;
        uint64_t head = (uint64_t)(layer * s.kv_heads + a.kv) * s.context * SIZE * sizeof(C);
        uint32_t chunks = (positions + CHUNK - 1) / CHUNK;
        for (uint32_t c = a.split; c < chunks; c += a.splits) {
            uint32_t bytes = (positions - c * CHUNK) * SIZE * sizeof(C);
            bytes = bytes < DECODE_STAGE ? bytes : DECODE_STAGE;
            uint64_t at = head + (uint64_t)c * DECODE_STAGE;
            if (!stage_fill((const char *)p.keys + at, bytes, kept) ||
                !stage_fill((const char *)p.values + at, bytes, kept))
                return false;
        }
        return true;
    }

    __device__ bool token_load(uint32_t token)
    {
        const cuda_shape &s = p.shape;
        const range own = rows_share(s.hidden, 1, block, blocks);
        const range qkv = rows_share(qkv_rows(&s), 1, block, blocks);
        const range gate_up = rows_share(2 * s.ffn, 2, block, blocks);
        const uint32_t positions = p.position + token;
        const attention_part a = attention_share(positions);
        const bool attends = a.head < s.kv_heads * group_passes(&s);
        for (uint32_t layer = 0; layer < s.layers; layer++) {
            const char *l = p.weights.layers + layer * p.weights.layer_bytes;
            if (!matrix_load(l, qkv, s.hidden) || (layer == 0 && !keys_wait(token)) ||
                (attends && !chunks_load(a, layer, positions)) ||
                !matrix_load(l + p.weights.wo, own, s.heads * SIZE) ||
                !matrix_load(l + p.weights.gate_up, gate_up, s.hidden) ||
                !matrix_load(l + p.weights.down, own, s.ffn))
                return false;
        }
        return matrix_load((const char *)p.weights.output,
                           rows_share(s.vocabulary, 1, block, blocks), s.hidden);
    }

    /* One thread: all that this block reads, as fast as stages get free. */
    __device__ void load()
    {
        uint32_t token = 0;
        while (token < p.tokens && token_load(token))
            token++;
        /* A block may not end while copies are under way. Stages before this one were filled last
         * in this round, the others in the one before, if there was one: a barrier that was never
         * used passes for the parity of the round before the first. */
        for (uint32_t i = 0; i < p.stages; i++)
            barrier_wait(&m->full[i], i < stage ? parity : parity ^ 1);
    }

    /* -- matrix times vector -- */

    /* This lane's part of the next stage, multiplied; the stage may be filled again. */
    template <bool WHOLE>
    __device__ __forceinline__ float stage_multiply(const float (&x)[STEPS * PACK], uint32_t offset,
                                                    uint32_t units, bool valid)
    {
        barrier_wait(&m->full[stage], parity);
        const uint4 *data = reinterpret_cast<const uint4 *>(stages + stage * DECODE_STAGE) + offset;
        uint4 w[STEPS];
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            if (WHOLE) {
                w[i] = data[i * 32];
            } else {
                w[i] = make_uint4(0, 0, 0, 0);
                if (valid && i * 32 + lane < units)
                    w[i] = data[i * 32];
            }
        }
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->empty[stage]);
        stage_next();
        float sum[4] = {0, 0, 0, 0};
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            float v[PACK];
            unpack(v, w[i], T());
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum[j % 4] = fmaf(v[j], x[i * PACK + j], sum[j % 4]);
        }
        return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }

    /* All rows by pairs of stages. `to` is where this warp's first sum goes, step from a stage's to
     * the next one's. */
    template <bool WHOLE>
    __device__ __forceinline__ void rows_multiply(const float (&x)[STEPS * PACK], uint32_t offset,
                                                  uint32_t units, uint32_t row, uint32_t rows,
                                                  uint32_t each, float *to, uint32_t step)
    {
        uint32_t r = row, end = rows + row;
#pragma unroll 1
        for (; r + each < end; r += 2 * each) {
            float a = stage_multiply<WHOLE>(x, offset, units, r < rows);
            float b = stage_multiply<WHOLE>(x, offset, units, r + each < rows);
            float mine = lane & 16 ? b : a, other = lane & 16 ? a : b;
            mine += __shfl_xor_sync(0xffffffffu, other, 16);
#pragma unroll
            for (int way = 8; way > 0; way /= 2)
                mine += __shfl_xor_sync(0xffffffffu, mine, way);
            if (lane % 16 == 0 && r + (lane ? each : 0) < rows)
                to[lane ? step : 0] = mine;
            to += 2 * step;
        }
        if (r < end) {
            float a = warp_sum(stage_multiply<WHOLE>(x, offset, units, r < rows));
            if (lane == 0 && r < rows)
                *to = a;
        }
    }

    /* sums[(row * pieces + piece) * warps of a row + warp], the share's rows counted from 0. */
    __device__ __forceinline__ void product(const tiling &t, uint32_t rows, uint32_t columns,
                                            float *sums)
    {
        uint32_t warps = DECODE_WARPS / t.rows, row_in = warp / warps;
#pragma unroll 1
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t width = columns - piece * t.width;
            width = width < t.width ? width : t.width;
            range units = warp_units(&t, width, sizeof(T), warp);
            float x[STEPS * PACK]; /* this lane's columns of the input */
#pragma unroll
            for (int i = 0; i < STEPS; i++) {
                uint32_t unit = units.begin + i * 32 + lane;
                const float *from = vector + piece * t.width + unit * PACK;
#pragma unroll
                for (int j = 0; j < PACK; j += 4) {
                    float4 v = make_float4(0, 0, 0, 0);
                    if (unit < units.end)
                        v = *reinterpret_cast<const float4 *>(from + j);
                    x[i * PACK + j] = v.x;
                    x[i * PACK + j + 1] = v.y;
                    x[i * PACK + j + 2] = v.z;
                    x[i * PACK + j + 3] = v.w;
                }
            }
            if (sums == vector)
                meet(); /* the sums take the input's place */
            uint32_t offset = row_in * width * sizeof(T) / 16 + units.begin + lane;
            uint32_t step = t.rows * t.pieces * warps;
            float *to = sums + (row_in * t.pieces + piece) * warps + warp % warps;
            /* what lies behind the last rows in their stage is old, and not used */
            if (units.end - units.begin == 32 * STEPS)
                rows_multiply<true>(x, offset, 0, row_in, rows, t.rows, to, step);
            else
                rows_multiply<false>(x, offset, units.end - units.begin, row_in, rows, t.rows, to,
                                     step);
        }
    }

    __device__ __forceinline__ float row_sum(const float *sums, uint32_t row, uint32_t count)
    {
        float sum = sums[row * count];
        for (uint32_t i = 1; i < count; i++)
            sum += sums[row * count + i];
        return sum;
    }

    /* -- vectors -- */

    __device__ __forceinline__ void wait_for(uint32_t counter, uint32_t target)
    {
        if (threadIdx.x == 1)
            count_wait(p.counters + counter * COUNTER_STEP, target);
        meet();
    }
    /* Gives the herald an order, and does not wait for it. */
    __device__ __forceinline__ void tell(uint32_t kind, uint32_t value)
    {
        if (threadIdx.x == 0) {
            m->orders[told].kind = kind;
            m->orders[told].value = value;
        }
        barrier_pass(BARRIER_ORDER + told, THREADS + 32);
        told ^= 1;
    }

    __device__ __forceinline__ void vector_load(const float *from, uint32_t count)
    {
#pragma unroll 4
        for (uint32_t i = threadIdx.x * 4; i < count; i += THREADS * 4)
            *reinterpret_cast<float4 *>(vector + i) = load4(from + i);
        meet();
    }

    /* The norm's weights that a thread needs first, asked for before others are waited for. */
    __device__ __forceinline__ float4 weight_load(const float *weight)
    {
        uint32_t i = threadIdx.x * 4;
        return i < p.shape.hidden ? *reinterpret_cast<const float4 *>(weight + i)
                                  : make_float4(0, 0, 0, 0);
    }

    /* vector = rmsnorm of itself; sum is that of this thread's squares. */
    __device__ __forceinline__ void norm_finish(const float *weight, float4 w, float sum)
    {
        uint32_t hidden = p.shape.hidden;
        sum = warp_sum(sum);
        if (lane == 0)
            m->sum[warp] = sum;
        meet();
        sum = m->sum[lane % DECODE_WARPS];
#pragma unroll
        for (int way = DECODE_WARPS / 2; way > 0; way /= 2)
            sum += __shfl_xor_sync(0xffffffffu, sum, way);
        float factor = 1 / sqrtf(sum / (float)hidden + p.shape.eps);
#pragma unroll 1
        for (uint32_t i = threadIdx.x * 4; i < hidden; i += THREADS * 4) {
            float4 v = *reinterpret_cast<float4 *>(vector + i);
            if (i >= THREADS * 4)
                w = *reinterpret_cast<const float4 *>(weight + i);
            v.x = v.x * factor * w.x;
            v.y = v.y * factor * w.y;
            v.z = v.z * factor * w.z;
            v.w = v.w * factor * w.w;
            *reinterpret_cast<float4 *>(vector + i) = v;
        }
        meet();
    }
    /* This thread's part of x, and its squares' sum. */
    __device__ __forceinline__ float x_load()
    {
        float sum = 0;
#pragma unroll 1
        for (uint32_t i = threadIdx.x * 4; i < p.shape.hidden; i += THREADS * 4) {
            float4 v = load4(p.x + i);
            *reinterpret_cast<float4 *>(vector + i) = v;
            sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        }
        return sum;
    }

    /* x = the embedding of id: every block reads it, and keeps its own rows. */
    __device__ __forceinline__ float embed(int32_t id, range own)
    {
        const T *row = (const T *)p.weights.embedding + (size_t)id * p.shape.hidden;
        float sum = 0;
#pragma unroll 1
        for (uint32_t i = threadIdx.x * PACK; i < p.shape.hidden; i += THREADS * PACK) {
            float v[PACK];
            unpack(v, __ldg(reinterpret_cast<const uint4 *>(row + i)), T());
#pragma unroll
            for (int j = 0; j < PACK; j++) {
                vector[i + j] = v[j];
                sum += v[j] * v[j];
            }
        }
        meet();
        if (threadIdx.x < own.end - own.begin)
            m->own[threadIdx.x] = vector[own.begin + threadIdx.x];
        return sum;
    }

    /* -- attention -- */

    struct softmax {
        float q[DECODE_GROUP][CPACK], acc[DECODE_GROUP][CPACK], max[DECODE_GROUP],
            total[DECODE_GROUP];
    };

    /* Adds count positions, whose keys and values lie in shared memory, to the running softmax. */
    __device__ __forceinline__ void steps_attend(softmax &a, const C *keys, const C *values,
                                                 uint32_t step, uint32_t count)
    {
        enum { STEP = STEPS };
        uint32_t mine = lane / LANES, part = lane % LANES * CPACK;
        {
            float share[STEP][DECODE_GROUP], next[DECODE_GROUP];
#pragma unroll
            for (int g = 0; g < DECODE_GROUP; g++)
                next[g] = a.max[g];
#pragma unroll
            for (int i = 0; i < STEP; i++) {
                uint32_t at = (step + i) * AT_ONCE + mine;
                float k[CPACK];
                uint4 v = make_uint4(0, 0, 0, 0);
                if (at < count)
                    v = *reinterpret_cast<const uint4 *>(keys + at * SIZE + part);
                unpack(k, v, C());
#pragma unroll
                for (int g = 0; g < DECODE_GROUP; g++) {
                    float score = 0;
#pragma unroll
                    for (int j = 0; j < CPACK; j++)
                        score = fmaf(a.q[g][j], k[j], score);
#pragma unroll
                    for (int way = LANES / 2; way > 0; way /= 2)
                        score += __shfl_xor_sync(0xffffffffu, score, way);
                    share[i][g] = at < count ? score : -INFINITY;
                    next[g] = fmaxf(next[g], share[i][g]);
                }
            }
#pragma unroll
            for (int g = 0; g < DECODE_GROUP; g++) {
#pragma unroll
                for (int way = LANES; way < 32; way *= 2)
                    next[g] = fmaxf(next[g], __shfl_xor_sync(0xffffffffu, next[g], way));
                float keep = exp2f(a.max[g] - next[g]);
                a.max[g] = next[g];
                a.total[g] *= keep;
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    a.acc[g][j] *= keep;
#pragma unroll
                for (int i = 0; i < STEP; i++) {
                    share[i][g] = exp2f(share[i][g] - next[g]);
                    a.total[g] += share[i][g];
                }
            }
#pragma unroll
            for (int i = 0; i < STEP; i++) {
                uint32_t at = (step + i) * AT_ONCE + mine;
                float v[CPACK];
                uint4 raw = make_uint4(0, 0, 0, 0);
                if (at < count)
                    raw = *reinterpret_cast<const uint4 *>(values + at * SIZE + part);
                unpack(v, raw, C());
#pragma unroll
                for (int g = 0; g < DECODE_GROUP; g++)
#pragma unroll
                    for (int j = 0; j < CPACK; j++)
                        a.acc[g][j] = fmaf(share[i][g], v[j], a.acc[g][j]);
            }
        }
    }
    __device__ __forceinline__ void chunk_attend(softmax &a, const C *keys, const C *values, uint32_t count)
    {
#pragma unroll 1
        for (uint32_t step = 0; step * AT_ONCE < count; step += 4)
            steps_attend(a, keys, values, step, count);
    }

    /* What a warp has found, to shared memory: [warp][group][SIZE + 2]. */
    __device__ __forceinline__ void warp_store(softmax &a, float *to)
    {
        uint32_t mine = lane / LANES, part = lane % LANES * CPACK;
#pragma unroll
        for (int g = 0; g < DECODE_GROUP; g++) {
#pragma unroll
            for (int way = LANES; way < 32; way *= 2) {
                a.total[g] += __shfl_xor_sync(0xffffffffu, a.total[g], way);
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    a.acc[g][j] += __shfl_xor_sync(0xffffffffu, a.acc[g][j], way);
            }
            float *head = to + g * (SIZE + 2);
            if (mine == 0)
#pragma unroll
                for (int j = 0; j < CPACK; j++)
                    head[part + j] = a.acc[g][j];
            if (lane == 0) {
                head[SIZE] = a.max[g];
                head[SIZE + 1] = a.total[g];
            }
        }
    }

    /* Merges count partial results [count, DECODE_GROUP, SIZE + 2] of head g's element i. */
    template <bool GLOBAL>
    __device__ __forceinline__ float2 merge(const float *from, uint32_t count, uint32_t g, uint32_t i,
                                            float *largest)
    {
        float high = -INFINITY;
        const float *at = from + g * (SIZE + 2);
        for (uint32_t n = 0; n < count; n++) {
            const float *other = at + n * DECODE_GROUP * (SIZE + 2) + SIZE;
            high = fmaxf(high, GLOBAL ? __ldcg(other) : *other);
        }
        float2 sum = make_float2(0, 0);
        for (uint32_t n = 0; n < count; n++) {
            const float *other = at + n * DECODE_GROUP * (SIZE + 2);
            float peak = GLOBAL ? __ldcg(other + SIZE) : other[SIZE];
            float share = peak == -INFINITY ? 0 : exp2f(peak - high);
            sum.x += share * (GLOBAL ? __ldcg(other + i) : other[i]);
            sum.y += share * (GLOBAL ? __ldcg(other + SIZE + 1) : other[SIZE + 1]);
        }
        *largest = high;
        return sum;
    }

    __device__ __forceinline__ attention_part attention_share(uint32_t positions)
    {
        const cuda_shape &s = p.shape;
        attention_part a;
        uint32_t passes = group_passes(&s), group = s.heads / s.kv_heads;
        uint32_t head_rows = qkv_head_rows(&s), rows = qkv_rows(&s);
        a.splits = attention_splits(&s, sizeof(C), positions, blocks, p.chunks_alone);
        a.head = block / a.splits;
        a.split = block % a.splits;
        a.kv = a.head / passes;
        a.first = a.head % passes * DECODE_GROUP;
        a.heads = group - a.first < DECODE_GROUP ? group - a.first : DECODE_GROUP;
        a.writers = 0;
        if (a.kv < s.kv_heads)
            a.writers = row_owner(rows, (a.kv + 1) * head_rows - 1, blocks) -
                        row_owner(rows, a.kv * head_rows, blocks) + 1;
        return a;
    }

    /* q of this block's heads to rotated [DECODE_GROUP, SIZE], then k and v as the cache has them. The
     * angle is that of this thread's pair. */
    __device__ __forceinline__ void rotate(const attention_part &a, float sine, float cosine,
                                           float *rotated, C *fresh)
    {
        const cuda_shape &s = p.shape;
        uint32_t group = s.heads / s.kv_heads;
        const float *from = p.qkv + (size_t)a.kv * qkv_head_rows(&s);
        float scale = 1.44269504f / sqrtf((float)SIZE); /* exp2 is used */
        uint32_t i = threadIdx.x, h = i / (SIZE / 2), c = i % (SIZE / 2);
        static_assert((DECODE_GROUP + 2) * SIZE / 2 <= THREADS, "one pair for each thread");
        if (i >= (DECODE_GROUP + 2) * SIZE / 2)
            return;
        uint32_t row = h < DECODE_GROUP ? a.first + h : group + h - DECODE_GROUP;
        if (h < DECODE_GROUP && h >= a.heads) {
            rotated[h * SIZE + c] = rotated[h * SIZE + c + SIZE / 2] = 0;
            return;
        }
        float low = __ldcg(from + (size_t)row * SIZE + c);
        float high = __ldcg(from + (size_t)row * SIZE + c + SIZE / 2);
        if (h <= DECODE_GROUP) {
            float re = low, im = high;
            low = re * cosine - im * sine;
            high = re * sine + im * cosine;
        }
        if (h < DECODE_GROUP) {
            rotated[h * SIZE + c] = low * scale;
            rotated[h * SIZE + c + SIZE / 2] = high * scale;
        } else {
            fresh[(h - DECODE_GROUP) * SIZE + c] = from_float<C>(low);
            fresh[(h - DECODE_GROUP) * SIZE + c + SIZE / 2] = from_float<C>(high);
        }
    }

    __device__ __forceinline__ void attention(const attention_part &a, uint32_t layer,
                                              uint32_t positions, uint32_t head_target,
                                              uint32_t split_target)
    {
        const cuda_shape &s = p.shape;
        float *rotated = vector;                                        /* [DECODE_GROUP, SIZE] */
        C *fresh = reinterpret_cast<C *>(vector + DECODE_GROUP * SIZE); /* k, then v */
        float sine, cosine;
        sincosf((float)positions * p.frequency[threadIdx.x % (SIZE / 2)], &sine, &cosine);
        wait_for(COUNTER_HEADS + a.kv, head_target);
        rotate(a, sine, cosine, rotated, fresh);
        meet();
        if (a.split == 0 && a.first == 0) { /* the cache gets them for the next token */
            size_t at = ((size_t)(layer * s.kv_heads + a.kv) * s.context + positions) * SIZE;
            if (threadIdx.x < SIZE)
                ((C *)p.keys)[at + threadIdx.x] = fresh[threadIdx.x];
            else if (threadIdx.x < 2 * SIZE)
                ((C *)p.values)[at + threadIdx.x - SIZE] = fresh[threadIdx.x];
        }
        softmax found;
#pragma unroll
        for (int g = 0; g < DECODE_GROUP; g++) {
            found.max[g] = -INFINITY;
            found.total[g] = 0;
#pragma unroll
            for (int j = 0; j < CPACK; j++) {
                found.q[g][j] = rotated[g * SIZE + lane % LANES * CPACK + j];
                found.acc[g][j] = 0;
            }
        }
        /* the token itself, then this warp's positions of the block's chunks */
        uint32_t chunks = (positions + CHUNK - 1) / CHUNK, c = a.split;
        bool itself = a.split == 0 && warp == DECODE_WARPS - 1;
#pragma unroll 1
        while (itself || c < chunks) {
            const C *keys = fresh, *values = fresh + SIZE;
            uint32_t first = 0, valid = 1, after = stage;
            if (!itself) {
                valid = positions - c * CHUNK;
                valid = valid < CHUNK ? valid : CHUNK;
                first = warp * STEPS;
                after = stage + 1 == p.stages ? 0 : stage + 1;
                barrier_wait(&m->full[stage], parity);
                barrier_wait(&m->full[after], parity ^ (after == 0));
                keys = reinterpret_cast<const C *>(stages + stage * DECODE_STAGE);
                values = reinterpret_cast<const C *>(stages + after * DECODE_STAGE);
            }
            if (first * AT_ONCE < valid)
                steps_attend(found, keys, values, first, valid);
            if (!itself) {
                __syncwarp();
                if (lane == 0) {
                    barrier_arrive(&m->empty[stage]);
                    barrier_arrive(&m->empty[after]);
                }
                stage_next();
                stage_next();
                c += a.splits;
            }
            itself = false;
        }
        meet(); /* all have read the vector */
        warp_store(found, vector + warp * DECODE_GROUP * (SIZE + 2));
        meet();
        attention_merge(a, split_target);
    }

    /* The warps' results to one, and the blocks' of a head to the heads' output. */
    __device__ __forceinline__ void attention_merge(const attention_part &a, uint32_t split_target)
    {
        const cuda_shape &s = p.shape;
        uint32_t group = s.heads / s.kv_heads;
        float *out = p.mixed + (size_t)(a.kv * group + a.first) * SIZE;
        float *all = p.split + (size_t)a.head * p.most_splits * DECODE_GROUP * (SIZE + 2);
        for (uint32_t i = threadIdx.x; i < DECODE_GROUP * SIZE; i += THREADS) {
            uint32_t g = i / SIZE, c = i % SIZE;
            float largest;
            float2 sum = merge<false>(vector, DECODE_WARPS, g, c, &largest);
            if (a.splits == 1) {
                if (g < a.heads)
                    out[i] = sum.x / sum.y;
            } else {
                float *part = all + ((size_t)a.split * DECODE_GROUP + g) * (SIZE + 2);
                part[c] = sum.x;
                if (c == 0) {
                    part[SIZE] = largest;
                    part[SIZE + 1] = sum.y;
                }
            }
        }
        if (a.splits > 1) {
            tell(ORDER_SPLIT, split_target);
            barrier_meet(BARRIER_ANSWER, THREADS + 32);
            if (!m->last)
                return;
            for (uint32_t i = threadIdx.x; i < a.heads * SIZE; i += THREADS) {
                float largest;
                float2 sum = merge<true>(all, a.splits, i / SIZE, i % SIZE, &largest);
                out[i] = sum.x / sum.y;
            }
        }
        tell(ORDER_COUNT, COUNTER_MIXED);
    }

    /* -- the loop -- */

    __device__ __forceinline__ const float *norm_weight(uint32_t i) const
    {
        return p.weights.norms + (size_t)i * p.shape.hidden;
    }

    /* Adds this block's rows of a product to the residual stream. */
    __device__ __forceinline__ void residual_add(range own, uint32_t parts)
    {
        uint32_t i = threadIdx.x;
        if (i < own.end - own.begin) {
            m->own[i] += row_sum(partial, i, parts);
            p.x[own.begin + i] = m->own[i];
        }
        tell(ORDER_COUNT, COUNTER_X);
    }

    /* Tells other blocks and the host, on behalf of this one. A fence waits for all copies that its
     * warp has under way, so that a warp without any does this. */
    __device__ void herald()
    {
        const range qkv = rows_share(qkv_rows(&p.shape), 1, block, blocks);
        const uint32_t head_rows = qkv_head_rows(&p.shape), first = qkv.begin / head_rows;
        const uint32_t heads = qkv.begin < qkv.end ? (qkv.end - 1) / head_rows - first + 1 : 0;
        for (uint32_t token = 0;; told ^= 1) {
            barrier_meet(BARRIER_ORDER + told, THREADS + 32);
            const order o = m->orders[told];
            if (o.kind == ORDER_END)
                return;
            if (o.kind == ORDER_COUNT && lane == 0)
                count_up(p.counters + o.value * COUNTER_STEP);
            else if (o.kind == ORDER_HEADS && lane < heads)
                count_up(p.counters + (COUNTER_HEADS + first + lane) * COUNTER_STEP);
            else if (o.kind == ORDER_ID && lane == 0) {
                asm volatile("st.release.sys.global.s32 [%0], %1;" ::"l"(p.ids + token),
                             "r"(o.value)
                             : "memory");
                *p.last = o.value;
            }
            token += o.kind == ORDER_ID;
            if (o.kind == ORDER_SPLIT) {
                if (lane == 0) {
                    const uint32_t *counter =
                        p.counters +
                        (COUNTER_HEADS + p.shape.kv_heads + m->split_head) * COUNTER_STEP;
                    uint32_t before;
                    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                                 : "=r"(before)
                                 : "l"(counter)
                                 : "memory");
                    m->last = before + 1 == o.value;
                }
                barrier_meet(BARRIER_ANSWER, THREADS + 32);
            }
        }
    }

    __device__ __forceinline__ void run()
    {
        const cuda_shape &s = p.shape;
        const range own = rows_share(s.hidden, 1, block, blocks);
        const range qkv = rows_share(qkv_rows(&s), 1, block, blocks);
        const range gate_up = rows_share(2 * s.ffn, 2, block, blocks);
        const range vocabulary = rows_share(s.vocabulary, 1, block, blocks);
        const uint32_t query = s.heads * SIZE, virtual_heads = s.kv_heads * group_passes(&s);
        uint32_t x_target = 0, ffn_target = 0, mixed_target = 0, split_target = 0, steps = 0;
        int32_t id = *p.first;
#pragma unroll 1
        for (uint32_t token = 0; token < p.tokens; token++) {
            const uint32_t positions = p.position + token;
            const attention_part a = attention_share(positions);
            const bool attends = a.head < virtual_heads;
            uint32_t stop = 0;
            if (block == 0 && threadIdx.x == 1)
                stop = *p.stop;
            if (threadIdx.x == 0) {
                m->split_head = a.head;
                asm volatile("fence.proxy.async;" ::: "memory");
                asm volatile("st.release.cta.shared.u32 [%0], %1;" ::"r"(shared_address(&m->begun)),
                             "r"(token + 1)
                             : "memory");
            }
#pragma unroll 1
            for (uint32_t layer = 0, kind = OP_QKV; layer <= s.layers;) {
                uint32_t rows = own.end - own.begin, columns = s.hidden, counter = COUNTER_X;
                uint32_t target = x_target;
                const float *weight = p.weights.norms + (size_t)2 * layer * s.hidden;
                if (kind == OP_ATTENTION) {
                    split_target += a.splits > 1 ? a.splits : 0;
                    mixed_target += virtual_heads;
                    if (attends)
                        attention(a, layer, positions, steps * a.writers, split_target);
                    kind++;
                    continue;
                }
                if (kind == OP_QKV) {
                    steps++;
                    rows = qkv.end - qkv.begin;
                } else if (kind == OP_OUT) {
                    columns = query;
                    counter = COUNTER_MIXED;
                    target = mixed_target;
                    weight = NULL;
                } else if (kind == OP_GATE_UP) {
                    rows = gate_up.end - gate_up.begin;
                    weight += s.hidden;
                } else if (kind == OP_DOWN) {
                    columns = s.ffn;
                    counter = COUNTER_FFN;
                    target = ffn_target;
                    weight = NULL;
                } else {
                    rows = vocabulary.end - vocabulary.begin;
                }
                const tiling t = tiling_of(columns, sizeof(T));
                const uint32_t parts = tiling_sums(&t);
                float4 w = make_float4(0, 0, 0, 0);
                if (weight)
                    w = weight_load(weight);
                /* the input, in shared memory */
                if (layer > 0 || kind != OP_QKV)
                    wait_for(counter, target);
                if (weight) {
                    float sum = layer > 0 || kind != OP_QKV ? x_load() : embed(id, own);
                    norm_finish(weight, w, sum);
                } else {
                    vector_load(kind == OP_OUT ? p.mixed : p.ffn, columns);
                }
                float *sums = kind == OP_LOGITS ? vector : partial;
                product(t, rows, columns, sums);
                meet();
                /* what comes of it */
                if (kind == OP_QKV) {
                    for (uint32_t i = threadIdx.x; i < rows; i += THREADS)
                        p.qkv[qkv.begin + i] = row_sum(sums, i, parts);
                    tell(ORDER_HEADS, 0);
                } else if (kind == OP_GATE_UP) {
                    for (uint32_t i = threadIdx.x; i < rows / 2; i += THREADS) {
                        float gate = row_sum(sums, 2 * i, parts);
                        float up = row_sum(sums, 2 * i + 1, parts);
                        p.ffn[gate_up.begin / 2 + i] = gate / (1 + expf(-gate)) * up;
                    }
                    tell(ORDER_COUNT, COUNTER_FFN);
                    ffn_target += blocks;
                } else if (kind == OP_LOGITS) {
                    break;
                } else {
                    residual_add(own, parts);
                    x_target += blocks;
                }
                if (++kind == OPS) {
                    layer++;
                    kind = layer == s.layers ? OP_LOGITS : OP_QKV;
                }
            }
            const tiling t = tiling_of(s.hidden, sizeof(T));
            id = best_find(vocabulary, tiling_sums(&t), token, stop);
            if (block == 0)
                tell(ORDER_ID, id);
            if (m->stop)
                break;
        }
        tell(ORDER_END, 0);
    }

    /* The largest logit's id, and whether the loop is to stop, known to all. */
    __device__ __forceinline__ int32_t best_find(range rows, uint32_t parts,
                                                 uint32_t token, uint32_t stop)
    {
        uint64_t best = 0;
        for (uint32_t i = threadIdx.x; i < rows.end - rows.begin; i += THREADS) {
            float logit = row_sum(vector, i, parts);
            if (p.logits)
                p.logits[rows.begin + i] = logit;
            uint64_t rank = rank_of(logit, rows.begin + i);
            best = rank > best ? rank : best;
        }
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
        tell(ORDER_COUNT, COUNTER_BEST);
        wait_for(COUNTER_BEST, (token + 1) * blocks);
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

template <typename T, int SIZE> __device__ __forceinline__ void decode(const decode_params &p)
{
    extern __shared__ __align__(128) char shared[];
    decoder<T, SIZE> d(p);
    d.warp = threadIdx.x / 32;
    d.lane = threadIdx.x % 32;
    d.block = blockIdx.x;
    d.blocks = gridDim.x;
    d.stages = shared;
    d.vector = reinterpret_cast<float *>(shared + (size_t)p.stages * DECODE_STAGE);
    d.m = reinterpret_cast<misc *>((char *)d.vector + p.vector);
    d.partial = reinterpret_cast<float *>((char *)d.m + DECODE_MISC);
    d.stage = d.parity = d.told = 0;
    if (threadIdx.x < DECODE_MAX_STAGES) {
        barrier_init(&d.m->full[threadIdx.x], 1);
        barrier_init(&d.m->empty[threadIdx.x], DECODE_WARPS);
    }
    if (threadIdx.x == 0)
        d.m->begun = d.m->stop = 0;
    barriers_publish();
    __syncthreads();
    if (d.warp < DECODE_WARPS)
        d.run();
    else if (d.warp > DECODE_WARPS)
        d.herald();
    else if (d.lane == 0)
        d.load();
}

#define DECODE_KERNEL(T, suffix, size)                                                             \
    extern "C" __global__ void __launch_bounds__(32 * DECODE_ALL_WARPS, 1)                                       \
        decode_##suffix##_##size(const __grid_constant__ decode_params p)                          \
    {                                                                                              \
        decode<T, size>(p);                                                                        \
    }
#else
#define DECODE_KERNEL(T, suffix, size)                                                             \
    extern "C" __global__ void decode_##suffix##_##size(const __grid_constant__ decode_params p)   \
    {                                                                                              \
    }
#endif

DECODE_KERNEL(float, f32, 64)
DECODE_KERNEL(float, f32, 128)
DECODE_KERNEL(half_t, f16, 64)
DECODE_KERNEL(half_t, f16, 128)
DECODE_KERNEL(bfloat_t, bf16, 64)
DECODE_KERNEL(bfloat_t, bf16, 128)
