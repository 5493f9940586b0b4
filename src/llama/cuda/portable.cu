/* The model's operations as plain kernels: any shape, any card. They serve what the tuned kernels
 * do not, and are what those are compared with. Activations are float32 [tokens, ...]. */
#include "llama/cuda/codes.cuh"
#include "llama/cuda/tiles.cuh"

enum { WARPS = 8, THREADS = 32 * WARPS, TOKENS = 8, HEAD_PARTS = 8 };

/* x[t] = the embedding of ids[t], which is among the words from first on; else 0. Grid: tokens. */
template <typename T>
__device__ void embed(float *x, const T *embedding, const int32_t *ids, uint32_t hidden,
                      uint32_t first, uint32_t words)
{
    const uint32_t word = (uint32_t)ids[blockIdx.x] - first;
    const T *row = embedding + (size_t)(word < words ? word : 0) * hidden;
    for (uint32_t i = threadIdx.x; i < hidden; i += blockDim.x)
        x[(size_t)blockIdx.x * hidden + i] = word < words ? to_float(row[i]) : 0;
}

/* The same of codes. */
extern "C" __global__ void embed_int8(float *x, const char *embedding, const int32_t *ids,
                                      uint32_t hidden, uint32_t first, uint32_t words)
{
    const uint32_t word = (uint32_t)ids[blockIdx.x] - first;
    for (uint32_t i = threadIdx.x * 4; i < hidden; i += blockDim.x * 4) {
        const float4 v = word < words ? int8_four(embedding, hidden, word, i) : make_float4(0, 0, 0, 0);
        const float four[4] = {v.x, v.y, v.z, v.w};
        for (uint32_t j = 0; j < 4 && i + j < hidden; j++)
            x[(size_t)blockIdx.x * hidden + i + j] = four[j];
    }
}

/* x += delta where there is one, out = its norm. Grid: tokens. */
extern "C" __global__ void __launch_bounds__(THREADS)
    rmsnorm(float *out, float *x, const float *delta, const float *weight, uint32_t hidden,
            float eps)
{
    __shared__ float sums[WARPS];
    float *in = x + (size_t)blockIdx.x * hidden;
    float sum = 0;
    for (uint32_t i = threadIdx.x; i < hidden; i += THREADS) {
        if (delta)
            in[i] += delta[(size_t)blockIdx.x * hidden + i];
        sum += in[i] * in[i];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += sums[w];
    float factor = 1 / sqrtf(sum / (float)hidden + eps);
    for (uint32_t i = threadIdx.x; i < hidden; i += THREADS)
        out[(size_t)blockIdx.x * hidden + i] = in[i] * factor * weight[i];
}

/* out[t, r] = sum over c of weights[r, c] * x[t, c]. A warp takes a row for
 * TOKENS tokens, its lanes the columns lane, lane + 32, ...: the sum's order depends on the columns
 * alone. Grid: rows / WARPS, tokens / TOKENS. */
template <typename T>
__device__ void matmul(float *out, const T *weights, const float *x, uint32_t rows,
                       uint32_t columns, uint32_t tokens)
{
    uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32, lane = threadIdx.x % 32;
    uint32_t first = blockIdx.y * TOKENS;
    if (row >= rows)
        return;
    float sum[TOKENS] = {0};
    uint32_t count = tokens - first < TOKENS ? tokens - first : TOKENS;
    for (uint32_t c = lane; c < columns; c += 32) {
        float w = to_float(weights[(size_t)row * columns + c]);
#pragma unroll
        for (uint32_t t = 0; t < TOKENS; t++) {
            if (t < count)
                sum[t] = fmaf(w, x[(size_t)(first + t) * columns + c], sum[t]);
        }
    }
#pragma unroll
    for (uint32_t t = 0; t < TOKENS; t++) {
        float total = warp_sum(sum[t]);
        if (lane == 0 && t < count)
            out[(size_t)(first + t) * rows + row] = total;
    }
}

/* Rotates q and k by their positions, in place, and stores k and v in the cache. Grid: key heads,
 * tokens. */
template <typename C>
__device__ void rope(float *qkv, C *keys, C *values, const float *frequency,
                     struct cuda_shape s, uint32_t position)
{
    uint32_t kv = blockIdx.x, t = blockIdx.y, half = s.head_size / 2;
    uint32_t group = s.heads / s.kv_heads, head_rows = qkv_head_rows(&s);
    float *head = qkv + (size_t)t * qkv_rows(&s) + (size_t)kv * head_rows;
    size_t at = ((size_t)kv * s.context + position + t) * s.head_size;
    for (uint32_t i = threadIdx.x; i < (group + 1) * half; i += blockDim.x) {
        float *pair = head + (size_t)(i / half) * s.head_size + i % half;
        float sine, cosine, a = pair[0], b = pair[half];
        sincosf((float)(position + t) * frequency[i % half], &sine, &cosine);
        float low = a * cosine - b * sine, high = a * sine + b * cosine;
        pair[0] = low;
        pair[half] = high;
        if (i / half == group) {
            keys[at + i % half] = from_float<C>(low);
            keys[at + i % half + half] = from_float<C>(high);
        }
    }
    for (uint32_t i = threadIdx.x; i < s.head_size; i += blockDim.x)
        values[at + i] = from_float<C>(head[(group + 1) * s.head_size + i]);
}

/* Causal attention of one query head of one token, by a block whose warps take the positions warp,
 * warp + WARPS, ...; keys and values are the layer's. Grid: heads, tokens. */
template <typename C>
__device__ void attend(float *mixed, const float *qkv, const C *keys, const C *values,
                       struct cuda_shape s, uint32_t position)
{
    extern __shared__ float shared[]; /* [WARPS, head_size + 2] */
    uint32_t head = blockIdx.x, t = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t group = s.heads / s.kv_heads, kv = head / group, size = s.head_size;
    const float *q = qkv + (size_t)t * qkv_rows(&s) + (size_t)kv * qkv_head_rows(&s) +
                     (size_t)(head % group) * size;
    const C *k = keys + (size_t)kv * s.context * size, *v = values + (size_t)kv * s.context * size;
    float mine[HEAD_PARTS], sum[HEAD_PARTS] = {0}, total = 0, max = -INFINITY;
    float scale = 1 / sqrtf((float)size);
#pragma unroll
    for (int i = 0; i < HEAD_PARTS; i++)
        mine[i] = lane + 32 * i < size ? q[lane + 32 * i] * scale : 0;
    for (uint32_t p = warp; p <= position + t; p += WARPS) {
        float score = 0;
#pragma unroll
        for (int i = 0; i < HEAD_PARTS; i++)
            if (lane + 32 * i < size)
                score = fmaf(mine[i], to_float(k[(size_t)p * size + lane + 32 * i]), score);
        score = warp_sum(score);
        float next = fmaxf(max, score), keep = expf(max - next), share = expf(score - next);
        max = next;
        total = total * keep + share;
#pragma unroll
        for (int i = 0; i < HEAD_PARTS; i++)
            if (lane + 32 * i < size)
                sum[i] = fmaf(share, to_float(v[(size_t)p * size + lane + 32 * i]), sum[i] * keep);
    }
    float *part = shared + (size_t)warp * (size + 2);
#pragma unroll
    for (int i = 0; i < HEAD_PARTS; i++)
        if (lane + 32 * i < size)
            part[lane + 32 * i] = sum[i];
    if (lane == 0) {
        part[size] = max;
        part[size + 1] = total;
    }
    __syncthreads();
    max = -INFINITY;
    for (int w = 0; w < WARPS; w++)
        max = fmaxf(max, shared[w * (size + 2) + size]);
    for (uint32_t i = threadIdx.x; i < size; i += THREADS) {
        float above = 0, below = 0;
        for (int w = 0; w < WARPS; w++) {
            const float *other = shared + (size_t)w * (size + 2);
            float share = expf(other[size] - max);
            above += share * other[i];
            below += share * other[size + 1];
        }
        mixed[((size_t)t * s.heads + head) * size + i] = above / below;
    }
}

/* out[t, i] = silu(gate) * up of gate_up [tokens, 2 * ffn]. */
extern "C" __global__ void swiglu(float *out, const float *gate_up, uint64_t count)
{
    uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) {
        float gate = gate_up[2 * i];
        out[i] = gate / (1 + expf(-gate)) * gate_up[2 * i + 1];
    }
}

/* The largest of all threads' ranks, known to thread 0. */
__device__ __forceinline__ uint64_t block_max(uint64_t best, uint64_t (&best_of)[WARPS])
{
    best = warp_max(best);
    if (threadIdx.x % 32 == 0)
        best_of[threadIdx.x / 32] = best;
    __syncthreads();
    best = warp_max(best_of[threadIdx.x % WARPS]);
    __syncthreads();
    return best;
}

/* The token goes where it is wanted. */
__device__ __forceinline__ void choose_id(const chosen &to, int32_t id)
{
    uint32_t made = 0;
    if (to.state) {
        made = to.state->made++;
        to.state->position++;
    }
    *to.next = id;
    if (to.ids) {
        to.ids[made] = id;
        __threadfence_system();
    }
}

/* The id of the largest logit, as they are drawn, of the words from first on, is chosen; of a model
 * that is split, whose other cards have other words, its rank is left in *found. Each block finds
 * the best of its share for bests [blocks]; the last to end finds the best of those, and leaves
 * *ended 0 for the next time. Grid: ARGMAX_BLOCKS. */
extern "C" __global__ void __launch_bounds__(THREADS)
    argmax(const chosen to, uint64_t *found, uint64_t *bests, uint32_t *ended, const float *logits,
           uint32_t count, uint32_t first, const struct draw given)
{
    __shared__ uint64_t best_of[WARPS];
    __shared__ bool last;
    const struct draw draw = to.state ? draw_after(to.state->draw, to.state->made) : given;
    uint64_t best = 0;
#pragma unroll 4
    for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < count; i += gridDim.x * THREADS) {
        const float logit = logits[i];
        uint64_t rank =
            rank_of(draw.temperature > 0 ? logit_drawn(draw, logit, first + i) : logit, first + i);
        best = rank > best ? rank : best;
    }
    best = block_max(best, best_of);
    if (threadIdx.x == 0) {
        bests[blockIdx.x] = best;
        __threadfence();
        last = atomicInc(ended, gridDim.x - 1) == gridDim.x - 1;
        __threadfence();
    }
    __syncthreads();
    if (!last)
        return;
    best = 0;
    for (uint32_t i = threadIdx.x; i < gridDim.x; i += THREADS) {
        uint64_t other = __ldcg((const unsigned long long *)bests + i);
        best = other > best ? other : best;
    }
    best = block_max(best, best_of);
    if (threadIdx.x == 0 && found)
        *found = best;
    if (threadIdx.x == 0 && !found)
        choose_id(to, rank_id(best));
}

/* The same once the largest of all cards' is known. */
extern "C" __global__ void choose(const chosen to, const uint64_t *found)
{
    choose_id(to, rank_id(*found));
}

#define WEIGHT_KERNELS(T, suffix)                                                                  \
    extern "C" __global__ void embed_##suffix(float *x, const T *embedding, const int32_t *ids,    \
                                              uint32_t hidden, uint32_t first, uint32_t words)     \
    {                                                                                              \
        embed(x, embedding, ids, hidden, first, words);                                            \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        matmul_##suffix(float *out, const T *weights, const float *x, uint32_t rows,               \
                        uint32_t columns, uint32_t tokens)                                         \
    {                                                                                              \
        matmul(out, weights, x, rows, columns, tokens);                                            \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                       \
        matmul_tiles_##suffix(float *out, const T *weights, const float *x, uint32_t rows,         \
                              uint32_t columns, uint32_t tokens)                                   \
    {                                                                                              \
        matmul_tiles(out, weights, x, rows, columns, tokens);                                      \
    }
#define CACHE_KERNELS(C, suffix)                                                                   \
    extern "C" __global__ void rope_##suffix(float *qkv, C *keys, C *values,                       \
                                             const float *frequency, struct cuda_shape s,          \
                                             uint32_t position)                                    \
    {                                                                                              \
        rope(qkv, keys, values, frequency, s, position);                                           \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        attend_##suffix(float *mixed, const float *qkv, const C *keys, const C *values,            \
                        struct cuda_shape s, uint32_t position)                                    \
    {                                                                                              \
        attend(mixed, qkv, keys, values, s, position);                                             \
    }

WEIGHT_KERNELS(float, f32)
WEIGHT_KERNELS(half_t, f16)
WEIGHT_KERNELS(bfloat_t, bf16)
CACHE_KERNELS(float, f32)
CACHE_KERNELS(half_t, f16)
