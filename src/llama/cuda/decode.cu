/* The whole token loop as one persistent kernel (Hopper), one block on each multiprocessor.
 *
 * Decoding one sequence is reading: all weights once a token. Each warp therefore streams its own
 * share of them, in the order of the operations, through its own slots of shared memory, filled by
 * the bulk-copy engine. Weights depend on nothing, so that a warp that waits for the others' results
 * has its slots filled meanwhile, across the borders of operations: what is waited for costs
 * reading time only when the slots are full. Keys and values stream through the same slots.
 *
 * Blocks meet at counters in global memory: a block adds 1 when its share of a vector is written
 * and waits until all that it needs have. Nothing is summed by atomics: every sum has one order,
 * and the same ids come out of every run. */
#include "llama/cuda/element.cuh"
#include "llama/cuda/layout.h"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)

enum { THREADS = 32 * DECODE_WARPS };
enum { TIMEOUT_NS = 4000000000u }; /* a wait of so long is a fault: end the kernel */

/* -- waiting, counting, copying ------------------------------------------------------------- */

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}
__device__ __forceinline__ uint64_t clock_ns()
{
    uint64_t t;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
    return t;
}
__device__ __forceinline__ void barrier_init(uint64_t *barrier)
{
    asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(shared_address(barrier)));
}
__device__ __forceinline__ bool barrier_try(uint64_t *barrier, uint32_t parity)
{
    uint32_t done;
    asm volatile("{\n.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"(shared_address(barrier)), "r"(parity)
                 : "memory");
    return done;
}
__device__ __forceinline__ void barrier_wait(uint64_t *barrier, uint32_t parity)
{
    if (barrier_try(barrier, parity))
        return;
    uint64_t start = clock_ns();
    while (!barrier_try(barrier, parity))
        if (clock_ns() - start > TIMEOUT_NS)
            __trap();
}
/* Weights are read once a token: they leave the L2 first. */
__device__ __forceinline__ void copy_bulk(void *to, const void *from, uint32_t bytes,
                                          uint64_t *barrier, uint64_t policy)
{
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(bytes)
                 : "memory");
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

/* -- shared memory -------------------------------------------------------------------------- */

/* Where a warp's copies are: what it has asked for next. Kept in shared memory; lane 0's alone. */
struct feed {
    const char *next;   /* the next segment */
    uint64_t stride;    /* to the one after it */
    uint32_t left;      /* segments of this operation */
    uint32_t bytes;     /* of a segment */
    uint32_t op;        /* index of the operation in the token */
    uint32_t token;
    uint32_t chunk;     /* attention: the next chunk's index; its values follow its keys */
    uint32_t allowed;   /* tokens whose keys may be copied: those that have begun */
    uint32_t pending;   /* copies asked for and not yet used */
};

struct misc {
    uint64_t barrier[DECODE_WARPS * DECODE_MAX_SLOTS];
    uint64_t best[DECODE_WARPS];
    float sum[DECODE_WARPS];
    struct feed feed[DECODE_WARPS];
    uint32_t last; /* this block was the last of its head's splits */
    uint32_t stop;
    int32_t id;
    float own[DECODE_OWN]; /* this block's rows of the residual stream */
};
static_assert(sizeof(struct misc) <= DECODE_MISC, "raise DECODE_MISC");

/* -- the kernel ----------------------------------------------------------------------------- */

enum { OP_QKV, OP_ATTENTION, OP_OUT, OP_GATE_UP, OP_DOWN, OPS };

template <typename T, int SIZE> struct decoder {
    typedef typename cache_type<T>::type C;
    enum {
        PACK = pack<T>::COUNT,
        PIECE = DECODE_SLOT / sizeof(T), /* columns of a segment */
        STEPS = DECODE_SLOT / 512,       /* of 16 bytes for each lane */
        CPACK = pack<C>::COUNT,
        LANES = SIZE / CPACK,            /* that share a position */
        AT_ONCE = 32 / LANES,            /* positions of one step */
        CHUNK = DECODE_SLOT / (SIZE * sizeof(C)),
    };
    static_assert(LANES <= 32 && CHUNK == STEPS * AT_ONCE, "head size");

    const decode_params &p;
    misc *m;
    char *slots;   /* this warp's */
    float *vector; /* [largest input] */
    uint32_t warp, lane, block, blocks;

    /* what this warp has read of its slots */
    uint32_t slot, parity;

    float *partial; /* [segments of an operation] */

    __device__ decoder(const decode_params &params) : p(params)
    {
    }

    /* -- the feed -- */

    __device__ __forceinline__ void matrix_feed(feed &f, const void *data, range rows,
                                                uint32_t columns)
    {
        segments s = segments_of(columns, sizeof(T), rows.end - rows.begin, warp);
        f.left = s.count;
        f.stride = (uint64_t)s.step * columns * sizeof(T);
        f.next = (const char *)data +
                 ((uint64_t)(rows.begin + s.begin) * columns + s.piece * PIECE) * sizeof(T);
        uint32_t width = columns - s.piece * PIECE;
        f.bytes = (width < PIECE ? width : PIECE) * sizeof(T);
    }

    __device__ __forceinline__ uint32_t splits(uint32_t positions) const
    {
        return attention_splits(&p.shape, sizeof(C), positions, blocks, p.chunks_per_warp);
    }

    /* Segments of the operation that f.op names. */
    __device__ __forceinline__ void operation_feed(feed &f)
    {
        const cuda_shape &s = p.shape;
        uint32_t layer = f.op / OPS;
        if (layer == s.layers) {
            matrix_feed(f, p.weights.output, rows_share(s.vocabulary, 1, block, blocks), s.hidden);
            return;
        }
        const char *l = p.weights.layers + layer * p.weights.layer_bytes;
        uint32_t query = s.heads * SIZE;
        switch (f.op % OPS) {
        case OP_QKV:
            matrix_feed(f, l, rows_share(qkv_rows(&s), 1, block, blocks), s.hidden);
            break;
        case OP_OUT:
            matrix_feed(f, l + p.weights.wo, rows_share(s.hidden, 1, block, blocks), query);
            break;
        case OP_GATE_UP:
            matrix_feed(f, l + p.weights.gate_up, rows_share(2 * s.ffn, 2, block, blocks), s.hidden);
            break;
        case OP_DOWN:
            matrix_feed(f, l + p.weights.down, rows_share(s.hidden, 1, block, blocks), s.ffn);
            break;
        default: { /* this warp's chunks: keys and values of each are two segments */
            uint32_t positions = p.position + f.token, count = splits(positions);
            uint32_t passes = group_passes(&s), head = block / count;
            uint32_t chunks = (positions + CHUNK - 1) / CHUNK;
            f.left = 0;
            if (head < s.kv_heads * passes) {
                f.chunk = block % count * DECODE_WARPS + warp;
                f.stride = (uint64_t)count * DECODE_WARPS;
                f.next = (const char *)p.keys +
                         (uint64_t)(layer * s.kv_heads + head / passes) * s.context * SIZE * sizeof(C);
                if (f.chunk < chunks)
                    f.left = 2 * ((chunks - f.chunk + f.stride - 1) / f.stride);
            }
        }
        }
    }

    /* Asks for one segment, if there is one to ask for: lane 0 alone. */
    __device__ __forceinline__ bool segment_ask(feed &f, uint32_t to)
    {
        const cuda_shape &s = p.shape;
        while (f.left == 0) {
            if (f.token == p.tokens)
                return false;
            uint32_t next = f.op + 1, token = f.token;
            if (next > s.layers * OPS) {
                next = 0;
                token++;
            }
            if (token == p.tokens) {
                f.token = token;
                return false;
            }
            /* keys of the token before are there only when this one has begun */
            if (next < s.layers * OPS && next % OPS == OP_ATTENTION && token >= f.allowed)
                return false;
            f.op = next;
            f.token = token;
            operation_feed(f);
        }
        uint64_t *barrier = &m->barrier[warp * DECODE_MAX_SLOTS + to];
        char *data = slots + to * DECODE_SLOT;
        if (f.op < s.layers * OPS && f.op % OPS == OP_ATTENTION) {
            uint32_t positions = p.position + f.token;
            uint32_t count = positions - f.chunk * CHUNK;
            count = count < CHUNK ? count : CHUNK;
            uint64_t offset = (uint64_t)f.chunk * DECODE_SLOT;
            if (f.left % 2 == 1) {
                offset += (const char *)p.values - (const char *)p.keys;
                f.chunk += (uint32_t)f.stride;
            }
            copy_bulk(data, f.next + offset, count * SIZE * sizeof(C), barrier,
                      0x14F0000000000000ull);
        } else {
            copy_bulk(data, f.next, f.bytes, barrier, 0x12F0000000000000ull);
            f.next += f.stride;
        }
        f.left--;
        return true;
    }

    /* Fills the slots that are free. `to` is the first of them. */
    __device__ __forceinline__ void slots_fill()
    {
        if (lane == 0) {
            feed &f = m->feed[warp];
            while (f.pending < p.slots) {
                uint32_t to = slot + f.pending;
                if (!segment_ask(f, to >= p.slots ? to - p.slots : to))
                    break;
                f.pending++;
            }
        }
    }

    __device__ __forceinline__ const char *slot_wait()
    {
        barrier_wait(&m->barrier[warp * DECODE_MAX_SLOTS + slot], parity);
        return slots + slot * DECODE_SLOT;
    }

    /* This warp has read the slot: it may be filled again. */
    __device__ __forceinline__ void slot_done()
    {
        __syncwarp();
        if (lane == 0)
            m->feed[warp].pending--;
        if (++slot == p.slots) {
            slot = 0;
            parity ^= 1;
        }
        slots_fill();
    }

    /* -- matrix times vector -- */

    /* Takes this lane's columns of the vector in shared memory. */
    __device__ __forceinline__ void input_take(float (&x)[STEPS * PACK], uint32_t columns)
    {
        uint32_t pieces = (columns + PIECE - 1) / PIECE, first = warp % pieces * PIECE;
#pragma unroll
        for (int i = 0; i < STEPS; i++) {
            uint32_t c = first + (i * 32 + lane) * PACK;
#pragma unroll
            for (int j = 0; j < PACK; j += 4) {
                float4 v = make_float4(0, 0, 0, 0);
                if (c < columns)
                    v = *reinterpret_cast<const float4 *>(vector + c + j);
                x[i * PACK + j] = v.x;
                x[i * PACK + j + 1] = v.y;
                x[i * PACK + j + 2] = v.z;
                x[i * PACK + j + 3] = v.w;
            }
        }
    }

    /* partial[segment's row * pieces + piece] for all segments of this warp. */
    __device__ __forceinline__ void product(uint32_t rows, uint32_t columns, float *sums)
    {
        float x[STEPS * PACK]; /* this lane's columns of the input */
        segments s = segments_of(columns, sizeof(T), rows, warp);
        input_take(x, columns);
        __syncthreads(); /* sums may lie where the input was */
        uint32_t width = columns - s.piece * PIECE; /* more than PIECE but for the last */
        for (uint32_t n = 0; n < s.count; n++) {
            const uint4 *data = reinterpret_cast<const uint4 *>(slot_wait()) + lane;
            uint4 w[STEPS];
#pragma unroll
            for (int i = 0; i < STEPS; i++) {
                w[i] = make_uint4(0, 0, 0, 0);
                if ((i * 32 + lane) * PACK < width)
                    w[i] = data[i * 32];
            }
            slot_done();
            float sum[4] = {0, 0, 0, 0};
#pragma unroll
            for (int i = 0; i < STEPS; i++) {
                float v[PACK];
                unpack(v, w[i], T());
#pragma unroll
                for (int j = 0; j < PACK; j++)
                    sum[j % 4] = fmaf(v[j], x[i * PACK + j], sum[j % 4]);
            }
            float total = warp_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
            if (lane == 0)
                sums[(s.begin + n * s.step) * s.pieces + s.piece] = total;
        }
    }

    __device__ __forceinline__ float row_sum(const float *sums, uint32_t row, uint32_t columns)
    {
        uint32_t pieces = (columns + PIECE - 1) / PIECE;
        float sum = sums[row * pieces];
        for (uint32_t i = 1; i < pieces; i++)
            sum += sums[row * pieces + i];
        return sum;
    }

    /* -- vectors -- */

    __device__ __forceinline__ void wait_for(uint32_t counter, uint32_t target)
    {
        if (threadIdx.x == 0)
            count_wait(p.counters + counter * COUNTER_STEP, target);
        __syncthreads();
    }
    __device__ __forceinline__ void tell(uint32_t counter)
    {
        __syncthreads();
        if (threadIdx.x == 0)
            count_up(p.counters + counter * COUNTER_STEP);
    }

    __device__ __forceinline__ void vector_load(const float *from, uint32_t count)
    {
        for (uint32_t i = threadIdx.x * 4; i < count; i += THREADS * 4)
            *reinterpret_cast<float4 *>(vector + i) = load4(from + i);
        __syncthreads();
    }

    /* vector = rmsnorm of the x that all blocks have, or of an embedding. */
    __device__ __forceinline__ void norm_finish(const float *weight, float sum)
    {
        uint32_t hidden = p.shape.hidden;
        sum = warp_sum(sum);
        if (lane == 0)
            m->sum[warp] = sum;
        __syncthreads();
        sum = 0;
#pragma unroll
        for (int w = 0; w < DECODE_WARPS; w++)
            sum += m->sum[w];
        float factor = 1 / sqrtf(sum / (float)hidden + p.shape.eps);
        for (uint32_t i = threadIdx.x * 4; i < hidden; i += THREADS * 4) {
            float4 v = *reinterpret_cast<float4 *>(vector + i);
            float4 w = *reinterpret_cast<const float4 *>(weight + i);
            v.x = v.x * factor * w.x;
            v.y = v.y * factor * w.y;
            v.z = v.z * factor * w.z;
            v.w = v.w * factor * w.w;
            *reinterpret_cast<float4 *>(vector + i) = v;
        }
        __syncthreads();
    }
    __device__ __forceinline__ void norm_load(const float *weight)
    {
        float sum = 0;
        for (uint32_t i = threadIdx.x * 4; i < p.shape.hidden; i += THREADS * 4) {
            float4 v = load4(p.x + i);
            *reinterpret_cast<float4 *>(vector + i) = v;
            sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
        }
        norm_finish(weight, sum);
    }

    /* x = the embedding of id: every block reads it, and keeps its own rows. */
    __device__ void embed(int32_t id, const float *weight, range own)
    {
        const T *row = (const T *)p.weights.embedding + (size_t)id * p.shape.hidden;
        float sum = 0;
        for (uint32_t i = threadIdx.x * PACK; i < p.shape.hidden; i += THREADS * PACK) {
            float v[PACK];
            unpack(v, __ldg(reinterpret_cast<const uint4 *>(row + i)), T());
#pragma unroll
            for (int j = 0; j < PACK; j++) {
                vector[i + j] = v[j];
                sum += v[j] * v[j];
            }
        }
        __syncthreads();
        if (threadIdx.x < own.end - own.begin)
            m->own[threadIdx.x] = vector[own.begin + threadIdx.x];
        norm_finish(weight, sum);
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
        enum { STEP = 4 }; /* at once, to keep registers free */
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

    __device__ void attention(uint32_t layer, uint32_t token, uint32_t head_target,
                              uint32_t split_target)
    {
        const cuda_shape &s = p.shape;
        uint32_t positions = p.position + token, count = splits(positions);
        uint32_t passes = group_passes(&s), head = block / count, split = block % count;
        if (head >= s.kv_heads * passes)
            return;
        uint32_t kv = head / passes, group = s.heads / s.kv_heads;
        uint32_t first = head % passes * DECODE_GROUP; /* query head in the group */
        uint32_t heads = group - first < DECODE_GROUP ? group - first : DECODE_GROUP;
        uint32_t head_rows = qkv_head_rows(&s);

        /* q of these heads, then k, then v; rotated */
        wait_for(COUNTER_HEADS + kv, head_target);
        const float *from = p.qkv + (size_t)kv * head_rows;
        float *rotated = vector;                                  /* [DECODE_GROUP, SIZE] */
        C *fresh = reinterpret_cast<C *>(vector + DECODE_GROUP * SIZE); /* k, then v */
        float scale = 1.44269504f / sqrtf((float)SIZE); /* exp2 is used */
        for (uint32_t i = threadIdx.x; i < (DECODE_GROUP + 1) * SIZE / 2; i += THREADS) {
            uint32_t h = i / (SIZE / 2), c = i % (SIZE / 2);
            bool key = h == DECODE_GROUP;
            float low = 0, high = 0;
            if (key || h < heads) {
                const float *pair = from + (size_t)(key ? group : first + h) * SIZE + c;
                float re = __ldcg(pair), im = __ldcg(pair + SIZE / 2), sine, cosine;
                sincosf((float)positions * p.frequency[c], &sine, &cosine);
                low = re * cosine - im * sine;
                high = re * sine + im * cosine;
            }
            if (key) {
                fresh[c] = from_float<C>(low);
                fresh[c + SIZE / 2] = from_float<C>(high);
            } else {
                rotated[h * SIZE + c] = low * scale;
                rotated[h * SIZE + c + SIZE / 2] = high * scale;
            }
        }
        for (uint32_t i = threadIdx.x; i < SIZE; i += THREADS)
            fresh[SIZE + i] = from_float<C>(__ldcg(from + (size_t)(group + 1) * SIZE + i));
        __syncthreads();

        if (split == 0 && head % passes == 0) { /* the cache gets them for the next token */
            size_t at = ((size_t)(layer * s.kv_heads + kv) * s.context + positions) * SIZE;
            if (threadIdx.x < SIZE)
                ((C *)p.keys)[at + threadIdx.x] = fresh[threadIdx.x];
            else if (threadIdx.x < 2 * SIZE)
                ((C *)p.values)[at + threadIdx.x - SIZE] = fresh[threadIdx.x];
        }
        softmax a;
#pragma unroll
        for (int g = 0; g < DECODE_GROUP; g++) {
            a.max[g] = -INFINITY;
            a.total[g] = 0;
#pragma unroll
            for (int j = 0; j < CPACK; j++) {
                a.q[g][j] = rotated[g * SIZE + lane % LANES * CPACK + j];
                a.acc[g][j] = 0;
            }
        }
        uint32_t chunks = (positions + CHUNK - 1) / CHUNK;
        if (split == 0 && warp == DECODE_WARPS - 1)
            chunk_attend(a, fresh, fresh + SIZE, 1);
        __syncthreads(); /* vector may be written now */
        for (uint32_t c = split * DECODE_WARPS + warp; c < chunks; c += count * DECODE_WARPS) {
            uint32_t valid = positions - c * CHUNK;
            valid = valid < CHUNK ? valid : CHUNK;
            const C *keys = reinterpret_cast<const C *>(slot_wait());
            uint32_t values_slot = slot + 1 == p.slots ? 0 : slot + 1;
            barrier_wait(&m->barrier[warp * DECODE_MAX_SLOTS + values_slot],
                         parity ^ (values_slot == 0));
            const C *values = reinterpret_cast<const C *>(slots + values_slot * DECODE_SLOT);
            chunk_attend(a, keys, values, valid);
            slot_done();
            slot_done();
        }
        warp_store(a, vector + warp * DECODE_GROUP * (SIZE + 2));
        __syncthreads();

        float *out = p.mixed + (size_t)(kv * group + first) * SIZE;
        uint32_t most = blocks / (s.kv_heads * passes);
        float *all = p.split + (size_t)head * most * DECODE_GROUP * (SIZE + 2);
        for (uint32_t i = threadIdx.x; i < DECODE_GROUP * SIZE; i += THREADS) {
            uint32_t g = i / SIZE, c = i % SIZE;
            float largest;
            float2 sum = merge<false>(vector, DECODE_WARPS, g, c, &largest);
            if (count == 1) {
                if (g < heads)
                    out[i] = sum.x / sum.y;
            } else {
                float *part = all + ((size_t)split * DECODE_GROUP + g) * (SIZE + 2);
                part[c] = sum.x;
                if (c == 0) {
                    part[SIZE] = largest;
                    part[SIZE + 1] = sum.y;
                }
            }
        }
        if (count > 1) {
            __syncthreads();
            if (threadIdx.x == 0) {
                uint32_t before;
                asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                             : "=r"(before)
                             : "l"(p.counters + (COUNTER_HEADS + s.kv_heads + head) * COUNTER_STEP)
                             : "memory");
                m->last = before + 1 == split_target;
            }
            __syncthreads();
            if (!m->last)
                return;
            for (uint32_t i = threadIdx.x; i < heads * SIZE; i += THREADS) {
                float largest;
                float2 sum = merge<true>(all, count, i / SIZE, i % SIZE, &largest);
                out[i] = sum.x / sum.y;
            }
        }
        tell(COUNTER_MIXED);
    }

    /* -- the loop -- */

    __device__ __forceinline__ void heads_tell(range rows)
    {
        __syncthreads();
        uint32_t head_rows = qkv_head_rows(&p.shape);
        if (rows.begin < rows.end && threadIdx.x <= (rows.end - 1) / head_rows - rows.begin / head_rows)
            count_up(p.counters +
                     (COUNTER_HEADS + rows.begin / head_rows + threadIdx.x) * COUNTER_STEP);
    }

    __device__ __forceinline__ const float *norm_weight(uint32_t i) const
    {
        return p.weights.norms + (size_t)i * p.shape.hidden;
    }

    /* Adds this block's rows of a product to the residual stream. */
    __device__ __forceinline__ void residual_add(range own, uint32_t columns)
    {
        uint32_t i = threadIdx.x;
        if (i < own.end - own.begin) {
            m->own[i] += row_sum(partial, i, columns);
            p.x[own.begin + i] = m->own[i];
        }
        tell(COUNTER_X);
    }

    __device__ void run()
    {
        const cuda_shape &s = p.shape;
        const range own = rows_share(s.hidden, 1, block, blocks);
        const range qkv = rows_share(qkv_rows(&s), 1, block, blocks);
        const range gate_up = rows_share(2 * s.ffn, 2, block, blocks);
        const range vocabulary = rows_share(s.vocabulary, 1, block, blocks);
        const uint32_t query = s.heads * SIZE, passes = group_passes(&s);
        const uint32_t head_rows = qkv_head_rows(&s);
        uint32_t x_target = 0, ffn_target = 0, mixed_target = 0, split_target = 0, steps = 0;
        int32_t id = *p.first;

        for (uint32_t token = 0; token < p.tokens; token++) {
            uint32_t count = splits(p.position + token), stop = 0;
            uint32_t kv = block / count / passes, writers = 0; /* blocks that write its rows */
            if (kv < s.kv_heads)
                writers = row_owner(qkv_rows(&s), (kv + 1) * head_rows - 1, blocks) -
                          row_owner(qkv_rows(&s), kv * head_rows, blocks) + 1;
            if (block == 0 && threadIdx.x == 0)
                stop = *p.stop;
            if (lane == 0)
                m->feed[warp].allowed = token + 1;
            asm volatile("fence.proxy.async;" ::: "memory");
            slots_fill();
#pragma unroll 1
            for (uint32_t op = 0; op <= s.layers * OPS; op++) {
                uint32_t layer = op / OPS, kind = layer == s.layers ? OPS : op % OPS;
                uint32_t rows, columns = s.hidden;
                switch (kind) { /* the input, in shared memory */
                case OP_QKV:
                    steps++;
                    rows = qkv.end - qkv.begin;
                    if (layer == 0) {
                        embed(id, norm_weight(0), own);
                    } else {
                        wait_for(COUNTER_X, x_target);
                        norm_load(norm_weight(2 * layer));
                    }
                    break;
                case OP_ATTENTION:
                    split_target += count > 1 ? count : 0;
                    mixed_target += s.kv_heads * passes;
                    attention(layer, token, steps * writers, split_target);
                    continue;
                case OP_OUT:
                    rows = own.end - own.begin;
                    columns = query;
                    wait_for(COUNTER_MIXED, mixed_target);
                    vector_load(p.mixed, query);
                    break;
                case OP_DOWN:
                    rows = own.end - own.begin;
                    columns = s.ffn;
                    wait_for(COUNTER_FFN, ffn_target);
                    vector_load(p.ffn, s.ffn);
                    break;
                default:
                    rows = kind == OPS ? vocabulary.end - vocabulary.begin
                                       : gate_up.end - gate_up.begin;
                    wait_for(COUNTER_X, x_target);
                    norm_load(norm_weight(kind == OPS ? 2 * layer : 2 * layer + 1));
                }
                product(rows, columns, kind == OPS ? vector : partial);
                __syncthreads();
                switch (kind) { /* what comes of it */
                case OP_QKV:
                    for (uint32_t i = threadIdx.x; i < rows; i += THREADS)
                        p.qkv[qkv.begin + i] = row_sum(partial, i, columns);
                    heads_tell(qkv);
                    break;
                case OP_OUT:
                case OP_DOWN:
                    residual_add(own, columns);
                    x_target += blocks;
                    break;
                case OP_GATE_UP:
                    for (uint32_t i = threadIdx.x; i < rows / 2; i += THREADS) {
                        float gate = row_sum(partial, 2 * i, columns);
                        float up = row_sum(partial, 2 * i + 1, columns);
                        p.ffn[gate_up.begin / 2 + i] = gate / (1 + expf(-gate)) * up;
                    }
                    tell(COUNTER_FFN);
                    ffn_target += blocks;
                    break;
                default:
                    break;
                }
            }
            id = best_find(vocabulary, token, stop);
            if (block == 0 && threadIdx.x == 0) {
                asm volatile("st.release.sys.global.s32 [%0], %1;" ::"l"(p.ids + token), "r"(id)
                             : "memory");
                *p.last = id;
            }
            if (m->stop)
                break;
        }
        __syncwarp();
        for (uint32_t left = m->feed[warp].pending; left > 0; left--) { /* copies under way */
            slot_wait();
            if (++slot == p.slots) {
                slot = 0;
                parity ^= 1;
            }
        }
    }

    /* The largest logit's id, and whether the loop is to stop, known to all. */
    __device__ int32_t best_find(range rows, uint32_t token, uint32_t stop)
    {
        uint64_t best = 0;
        for (uint32_t i = threadIdx.x; i < rows.end - rows.begin; i += THREADS) {
            float logit = row_sum(vector, i, p.shape.hidden);
            if (p.logits)
                p.logits[rows.begin + i] = logit;
            uint64_t rank = rank_of(logit, rows.begin + i);
            best = rank > best ? rank : best;
        }
        best = warp_max(best);
        if (lane == 0)
            m->best[warp] = best;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (int w = 1; w < DECODE_WARPS; w++)
                best = m->best[w] > best ? m->best[w] : best;
            p.best[block] = best;
            if (block == 0)
                p.best[blocks] = stop;
            count_up(p.counters + COUNTER_BEST * COUNTER_STEP);
        }
        wait_for(COUNTER_BEST, (token + 1) * blocks);
        best = 0;
        for (uint32_t i = threadIdx.x; i < blocks; i += THREADS) {
            uint64_t other = __ldcg((const unsigned long long *)p.best + i);
            best = other > best ? other : best;
        }
        best = warp_max(best);
        if (lane == 0)
            m->best[warp] = best;
        if (threadIdx.x == 0)
            m->stop = (uint32_t)__ldcg((const unsigned long long *)p.best + blocks);
        __syncthreads();
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
    d.slots = shared + (size_t)d.warp * p.slots * DECODE_SLOT;
    d.vector = reinterpret_cast<float *>(shared + (size_t)DECODE_WARPS * p.slots * DECODE_SLOT);
    d.m = reinterpret_cast<misc *>((char *)d.vector + p.vector);
    d.partial = reinterpret_cast<float *>((char *)d.m + DECODE_MISC);
    d.slot = d.parity = 0;
    if (d.lane == 0) {
        feed &f = d.m->feed[d.warp];
        f.op = ~0u;
        f.token = f.left = f.allowed = f.pending = 0;
    }
    for (int i = threadIdx.x; i < DECODE_WARPS * DECODE_MAX_SLOTS; i += THREADS)
        barrier_init(&d.m->barrier[i]);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    __syncthreads();
    d.run();
}

#define DECODE_KERNEL(T, suffix, size)                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                       \
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
