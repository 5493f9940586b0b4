/* Products of blocks of tokens by Hopper's tensor cores, at their full speed: the copy engine
 * brings tiles, a warp asks it for them ahead of need, and two warpgroups multiply what is there.
 * Blocks stay on their multiprocessor and take one tile of the result after the other. */
#include "llama/cuda/grid.cuh"
#include "llama/cuda/wgmma.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

enum {
    WARPGROUPS = 2,                /* that multiply, each PRODUCT_TOKENS / 2 tokens */
    TILE = 64 * PRODUCT_DEPTH * 2, /* bytes of one copy */
    LOADER_REGISTERS = 40,
    COMPUTE_REGISTERS = 232
};

template <typename T, int WIDTH> struct multiplier {
    enum {
        STAGES = PRODUCT_STAGES(WIDTH),
        WEIGHT_TILES = WIDTH / 64,
        STAGE = (2 + WEIGHT_TILES) * TILE,
        SUMS = WIDTH / 2
    };
    const product_arguments &a;
    unsigned char *stages; /* [STAGES]: two tiles of tokens, then the weights' */
    uint64_t *full, *empty;
    uint32_t tiles;

    __device__ __forceinline__ multiplier(const product_arguments &arguments, unsigned char *shared)
        : a(arguments)
    {
        stages = shared + (1024 - shared_address(shared) % 1024) % 1024;
        full = reinterpret_cast<uint64_t *>(stages + STAGES * STAGE);
        empty = full + STAGES;
        tiles = product_tiles(WIDTH, a.tokens, a.rows) * a.parts;
        if (threadIdx.x < STAGES) {
            barrier_init(full + threadIdx.x, 1);
            barrier_init(empty + threadIdx.x, 4 * WARPGROUPS);
        }
        barriers_publish();
        __syncthreads();
    }
    __device__ __forceinline__ struct product_tile tile(uint32_t i) const
    {
        return ::product_tile(i, WIDTH, a.tokens, a.rows, a.columns, a.parts);
    }

    /* -- the loader -- */

    __device__ __forceinline__ void weights_copy(uint32_t stage, const struct product_tile &p,
                                                 uint32_t step)
    {
        barrier_expect(full + stage, STAGE);
#pragma unroll
        for (int i = 0; i < WEIGHT_TILES; i++)
            tile_copy(stages + stage * STAGE + (2 + i) * TILE, &a.weights, step * PRODUCT_DEPTH,
                      p.row + i * 64, a.layer, full + stage);
    }
    __device__ __forceinline__ void tokens_copy(uint32_t stage, const struct product_tile &p,
                                                uint32_t step)
    {
#pragma unroll
        for (int i = 0; i < 2; i++)
            tile_copy(stages + stage * STAGE + i * TILE, &a.x, step * PRODUCT_DEPTH,
                      p.token + i * 64, 0, full + stage);
    }
    /* Weights depend on nothing: the first are asked for before other kernels have ended. */
    __device__ __forceinline__ void load()
    {
        struct product_tile p = tile(blockIdx.x);
        uint32_t first = p.end - p.begin < STAGES ? p.end - p.begin : STAGES;
        uint32_t stage = first % STAGES, parity = first / STAGES;
        for (uint32_t i = 0; i < first; i++)
            weights_copy(i, p, p.begin + i);
        grid_wait();
        for (uint32_t i = 0; i < first; i++)
            tokens_copy(i, p, p.begin + i);
        p.begin += first;
        for (uint32_t i = blockIdx.x;;) {
            for (uint32_t step = p.begin; step < p.end; step++) {
                barrier_wait(empty + stage, parity ^ 1);
                weights_copy(stage, p, step);
                tokens_copy(stage, p, step);
                if (++stage == STAGES) {
                    stage = 0;
                    parity ^= 1;
                }
            }
            i += gridDim.x;
            if (i >= tiles)
                return;
            p = tile(i);
        }
    }

    /* -- the warpgroups -- */

    __device__ __forceinline__ void store(const float (&d)[SUMS], const struct product_tile &p,
                                          uint32_t group)
    {
        uint32_t lane = threadIdx.x % 32, n = p.row + lane % 4 * 2;
        uint32_t m = p.token + group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
        float *to = (float *)a.out + ((size_t)p.part * a.tokens + m) * a.rows + n;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (m + half * 8 < a.tokens) {
#pragma unroll
                for (int j = 0; j < WIDTH / 8; j++)
                    if (n + j * 8 < a.rows)
                        *reinterpret_cast<float2 *>(to + (size_t)half * 8 * a.rows + j * 8) =
                            make_float2(d[j * 4 + half * 2], d[j * 4 + half * 2 + 1]);
            }
        }
    }

    static __device__ __forceinline__ uint32_t pair_of(float low, float high)
    {
        T pair[2] = {from_float<T>(low), from_float<T>(high)};
        return *reinterpret_cast<uint32_t *>(pair);
    }
    static __device__ __forceinline__ float gated(float gate, float up)
    {
        return gate / (1 + __expf(-gate)) * up;
    }
    /* silu(even row) * odd row. The four lanes of a row exchange theirs, so that each stores 8
     * bytes. */
    __device__ __forceinline__ void gated_store(const float (&d)[SUMS],
                                                const struct product_tile &p, uint32_t group)
    {
        uint32_t lane = threadIdx.x % 32, quarter = lane % 4, pitch = a.rows / 2;
        uint32_t m = p.token + group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
        T *to = (T *)a.out + (size_t)m * pitch + p.row / 2 + quarter * 4;
#pragma unroll
        for (int j = 0; j < WIDTH / 8; j += 4) {
            uint32_t v[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const float *s = d + (j + i) * 4;
                v[i] = pair_of(gated(s[0], s[1]), gated(s[2], s[3]));
            }
#pragma unroll
            for (int way = 1; way < 4; way *= 2) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    if (i & way)
                        continue;
                    bool odd = quarter & way;
                    uint32_t other = __shfl_xor_sync(0xffffffffu, odd ? v[i] : v[i + way], way);
                    v[i] = odd ? other : v[i];
                    v[i + way] = odd ? v[i + way] : other;
                }
            }
            if (p.row + j * 8 >= a.rows)
                continue;
            if (m < a.tokens)
                *reinterpret_cast<uint2 *>(to + j * 4) =
                    make_uint2(__byte_perm(v[0], v[1], 0x5410), __byte_perm(v[2], v[3], 0x5410));
            if (m + 8 < a.tokens)
                *reinterpret_cast<uint2 *>(to + (size_t)8 * pitch + j * 4) =
                    make_uint2(__byte_perm(v[0], v[1], 0x7632), __byte_perm(v[2], v[3], 0x7632));
        }
    }

    __device__ __forceinline__ void release(uint32_t stage)
    {
        if (threadIdx.x % 32 == 0)
            barrier_arrive(empty + stage);
    }
    __device__ __forceinline__ void multiply(uint32_t group)
    {
        uint32_t stage = 0, parity = 0;
        for (uint32_t i = blockIdx.x; i < tiles; i += gridDim.x) {
            struct product_tile p = tile(i);
            float d[SUMS];
            uint32_t before = 0;
            for (uint32_t step = p.begin; step < p.end; step++) {
                barrier_wait(full + stage, parity);
                uint64_t x = tile_descriptor(stages + stage * STAGE + group * TILE);
                uint64_t w = tile_descriptor(stages + stage * STAGE + 2 * TILE);
                sums_hold(d);
                products_begin();
#pragma unroll
                for (int k = 0; k < PRODUCT_DEPTH / 16; k++)
                    group_multiply(d, x + 2 * k, w + 2 * k, step > p.begin || k > 0, T());
                products_end();
                sums_hold(d);
                products_wait<1>();
                if (step > p.begin)
                    release(before);
                before = stage;
                if (++stage == STAGES) {
                    stage = 0;
                    parity ^= 1;
                }
            }
            sums_hold(d);
            products_wait<0>();
            sums_hold(d);
            release(before);
            if (a.gated)
                gated_store(d, p, group);
            else
                store(d, p, group);
        }
    }
};

template <typename T, int WIDTH>
__device__ __forceinline__ void product(const product_arguments &arguments)
{
    extern __shared__ unsigned char shared[];
    multiplier<T, WIDTH> m(arguments, shared);
    grid_next();
    uint32_t group = threadIdx.x / 128;
    if (group == WARPGROUPS) {
        registers_give<LOADER_REGISTERS>();
        if (threadIdx.x == 128 * WARPGROUPS)
            m.load();
    } else {
        registers_take<COMPUTE_REGISTERS>();
        m.multiply(group);
    }
}
#define PRODUCT_KERNEL(T, suffix, width)                                                           \
    extern "C" __global__ void __launch_bounds__(PRODUCT_THREADS, 1)                               \
        product_##width##_##suffix(const __grid_constant__ product_arguments arguments)            \
    {                                                                                              \
        product<T, width>(arguments);                                                              \
    }
#else
#define PRODUCT_KERNEL(T, suffix, width)                                                           \
    extern "C" __global__ void product_##width##_##suffix(                                         \
        const __grid_constant__ product_arguments arguments)                                       \
    {                                                                                              \
    }
#endif

PRODUCT_KERNEL(half_t, f16, 128)
PRODUCT_KERNEL(half_t, f16, 192)
PRODUCT_KERNEL(half_t, f16, 256)
PRODUCT_KERNEL(bfloat_t, bf16, 128)
PRODUCT_KERNEL(bfloat_t, bf16, 192)
PRODUCT_KERNEL(bfloat_t, bf16, 256)
