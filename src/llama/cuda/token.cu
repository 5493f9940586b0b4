/* What prompts need between products, for each token by itself: embedding, the residual stream and
 * its norms, rope. A product's parts are added here, in their order. */
#include "llama/cuda/codes.cuh"
#include "llama/cuda/grid.cuh"

enum { THREADS = 256, WARPS = THREADS / 32 };

/* The sum of all threads' x. */
__device__ __forceinline__ float block_sum(float x)
{
    __shared__ float sums[WARPS];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++)
        x += sums[w];
    return x;
}

__device__ __forceinline__ float4 sum_of(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ __forceinline__ float squares(float4 v)
{
    return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
}

template <typename T>
__device__ __forceinline__ void normed_store(T *normed, float4 v, float factor, const float *weight)
{
    float4 w = __ldg(reinterpret_cast<const float4 *>(weight));
    T out[4] = {from_float<T>(v.x * factor * w.x), from_float<T>(v.y * factor * w.y),
                from_float<T>(v.z * factor * w.z), from_float<T>(v.w * factor * w.w)};
    *reinterpret_cast<uint2 *>(normed) = *reinterpret_cast<uint2 *>(out);
}

/* x [hidden] = four elements at a time by get(element), normed = rmsnorm(x) * weight. What a thread
 * has of rows of up to 4096 stays in registers. */
template <typename T, typename Get>
__device__ __forceinline__ void row_norm(T *normed, float *x, const float *weight, uint32_t hidden,
                                         float eps, Get get)
{
    enum { KEPT = 4 };
    float4 kept[KEPT];
    float sum = 0;
#pragma unroll
    for (int n = 0; n < KEPT; n++) {
        uint32_t i = (n * THREADS + threadIdx.x) * 4;
        if (i < hidden) {
            kept[n] = get(i);
            *reinterpret_cast<float4 *>(x + i) = kept[n];
            sum += squares(kept[n]);
        }
    }
    for (uint32_t i = (KEPT * THREADS + threadIdx.x) * 4; i < hidden; i += THREADS * 4) {
        float4 v = get(i);
        *reinterpret_cast<float4 *>(x + i) = v;
        sum += squares(v);
    }
    float factor = 1 / sqrtf(block_sum(sum) / (float)hidden + eps);
#pragma unroll
    for (int n = 0; n < KEPT; n++) {
        uint32_t i = (n * THREADS + threadIdx.x) * 4;
        if (i < hidden)
            normed_store(normed + i, kept[n], factor, weight + i);
    }
    for (uint32_t i = (KEPT * THREADS + threadIdx.x) * 4; i < hidden; i += THREADS * 4)
        normed_store(normed + i, *reinterpret_cast<const float4 *>(x + i), factor, weight + i);
}

/* Four elements of a row of the embedding. */
template <typename T>
__device__ __forceinline__ float4 embedding_four(const T *embedding, uint32_t hidden, uint32_t row,
                                                 uint32_t i)
{
    const T *at = embedding + (size_t)row * hidden + i;
    return make_float4(to_float(at[0]), to_float(at[1]), to_float(at[2]), to_float(at[3]));
}
__device__ __forceinline__ float4 embedding_four(const char *codes, uint32_t hidden, uint32_t row,
                                                 uint32_t i)
{
    return int8_four(codes, hidden, row, i);
}

/* x = the embedding of ids, of the words from first on, or 0; normed = its norm; angles [tokens, half]
 * = cosine and sine of each pair. Grid: tokens. */
template <typename T, typename E>
__device__ __forceinline__ void begin(T *normed, float *x, float2 *angles, const E *embedding,
                                      const int32_t *ids, const float *frequency,
                                      const float *weight, uint32_t hidden, uint32_t half,
                                      uint32_t position, float eps, uint32_t first, uint32_t words)
{
    grid_next();
    const size_t t = blockIdx.x;
    const uint32_t word = (uint32_t)ids[t] - first;
    for (uint32_t i = threadIdx.x; i < half; i += THREADS) {
        float sine, cosine;
        sincosf((float)(position + blockIdx.x) * frequency[i], &sine, &cosine);
        angles[t * half + i] = make_float2(cosine, sine);
    }
    row_norm(normed + t * hidden, x + t * hidden, weight, hidden, eps,
             [=](uint32_t i) {
                 return word < words ? embedding_four(embedding, hidden, word, i)
                                     : make_float4(0, 0, 0, 0);
             });
}

/* x += the parts [parts, tokens, hidden], normed = its norm. Grid: tokens. */
template <typename T>
__device__ __forceinline__ void add(T *normed, float *x, const float *part, uint32_t parts,
                                    const float *weight, uint32_t hidden, float eps)
{
    grid_next();
    grid_wait();
    const size_t t = blockIdx.x, next = (size_t)gridDim.x * hidden;
    const float *to = x + t * hidden, *from = part + t * hidden;
    row_norm(normed + t * hidden, x + t * hidden, weight, hidden, eps, [=](uint32_t i) {
        float4 v = *reinterpret_cast<const float4 *>(to + i);
#pragma unroll 4
        for (uint32_t n = 0; n < parts; n++)
            v = sum_of(v, *reinterpret_cast<const float4 *>(from + n * next + i));
        return v;
    });
}

/* The first of the parts [parts, elements] becomes the sum of all, as add would make it. Grid:
 * elements / (4 THREADS). */
extern "C" __global__ void __launch_bounds__(THREADS)
    token_sum(float *part, uint32_t parts, uint64_t elements)
{
    grid_next();
    grid_wait();
    const uint64_t i = ((uint64_t)blockIdx.x * THREADS + threadIdx.x) * 4;
    if (i >= elements)
        return;
    float4 v = *reinterpret_cast<const float4 *>(part + i);
#pragma unroll 4
    for (uint32_t n = 1; n < parts; n++)
        v = sum_of(v, *reinterpret_cast<const float4 *>(part + n * elements + i));
    *reinterpret_cast<float4 *>(part + i) = v;
}

/* Rotates q and k of the parts [parts, tokens, qkv rows], and stores q [tokens, heads, head_size],
 * scaled for attention by powers of 2, and k and v in the cache. Grid: tokens. */
extern "C" __global__ void __launch_bounds__(THREADS)
    token_rotate(half_t *q, half_t *keys, half_t *values, const float *part, uint32_t parts,
                 const float2 *angles, struct cuda_shape s, uint32_t position)
{
    grid_next();
    grid_wait();
    const uint32_t t = blockIdx.x, size = s.head_size, half = size / 2, rows = qkv_rows(&s);
    const uint32_t group = s.heads / s.kv_heads;
    const float scale = 1.44269504f / sqrtf((float)size);
    for (uint32_t i = threadIdx.x * 2; i < rows / 2; i += THREADS * 2) { /* two pairs */
        uint32_t head = i / half, c = i % half, kv = head / (group + 2), kind = head % (group + 2);
        float2 low = make_float2(0, 0), high = low;
        const float *from = part + (size_t)t * rows + head * size + c;
#pragma unroll 4
        for (uint32_t n = 0; n < parts; n++, from += (size_t)gridDim.x * rows) {
            float2 a = *reinterpret_cast<const float2 *>(from);
            float2 b = *reinterpret_cast<const float2 *>(from + half);
            low = make_float2(low.x + a.x, low.y + a.y);
            high = make_float2(high.x + b.x, high.y + b.y);
        }
        if (kind <= group) {
            float4 angle = *reinterpret_cast<const float4 *>(angles + (size_t)t * half + c);
            float2 a = low, b = high;
            low = make_float2(a.x * angle.x - b.x * angle.y, a.y * angle.z - b.y * angle.w);
            high = make_float2(a.x * angle.y + b.x * angle.x, a.y * angle.w + b.y * angle.z);
        }
        half_t *to =
            (kind == group ? keys : values) + ((size_t)kv * s.context + position + t) * size + c;
        if (kind < group) {
            to = q + ((size_t)t * s.heads + kv * group + kind) * size + c;
            low = make_float2(low.x * scale, low.y * scale);
            high = make_float2(high.x * scale, high.y * scale);
        }
        *reinterpret_cast<__half2 *>(to) = __floats2half2_rn(low.x, low.y);
        *reinterpret_cast<__half2 *>(to + half) = __floats2half2_rn(high.x, high.y);
    }
}

#define BEGIN_KERNEL(T, E, suffix)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        token_begin_##suffix(T *normed, float *x, float2 *angles, const E *embedding,              \
                             const int32_t *ids, const float *frequency, const float *weight,      \
                             uint32_t hidden, uint32_t half, uint32_t position, float eps,         \
                             uint32_t first, uint32_t words)                                       \
    {                                                                                              \
        begin(normed, x, angles, embedding, ids, frequency, weight, hidden, half, position, eps,   \
              first, words);                                                                       \
    }
#define TOKEN_KERNELS(T, suffix)                                                                   \
    BEGIN_KERNEL(T, T, suffix)                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        token_add_##suffix(T *normed, float *x, const float *part, uint32_t parts,                 \
                           const float *weight, uint32_t hidden, float eps)                        \
    {                                                                                              \
        add(normed, x, part, parts, weight, hidden, eps);                                          \
    }

TOKEN_KERNELS(half_t, f16)
TOKEN_KERNELS(bfloat_t, bf16)
BEGIN_KERNEL(half_t, char, int8)
