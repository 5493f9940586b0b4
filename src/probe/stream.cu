// Reads a buffer of the GPU as fast as its memory delivers: the kernels of prony-probe-cuda.
// The words are added up, so that no read can be left out, and so that the sum proves that all of
// them were read.
#include <cstdint>

constexpr int UNROLL = 8; // 16-byte loads in flight, of each thread of stream_plain

// Word i is i * FACTOR: the sum of all is known without reading them.
extern "C" __global__ void stream_fill(uint32_t *words, uint64_t count, uint32_t factor)
{
    uint64_t step = uint64_t(gridDim.x) * blockDim.x;
    for (uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step)
        words[i] = uint32_t(i) * factor;
}

__device__ uint32_t sum4(uint4 v)
{
    return v.x + v.y + v.z + v.w;
}

// Plain loads of 16 bytes, for every card. bytes is a multiple of 16.
extern "C" __global__ void __launch_bounds__(512)
    stream_plain(const uint4 *data, uint64_t bytes, uint32_t *sum)
{
    uint64_t count = bytes / sizeof(uint4), step = uint64_t(gridDim.x) * blockDim.x;
    uint32_t total = 0;
    uint64_t i = uint64_t(blockIdx.x) * blockDim.x + threadIdx.x;
    for (; i + (UNROLL - 1) * step < count; i += UNROLL * step) {
        uint4 v[UNROLL];
#pragma unroll
        for (int k = 0; k < UNROLL; k++)
            v[k] = __ldcs(data + i + k * step);
#pragma unroll
        for (int k = 0; k < UNROLL; k++)
            total += sum4(v[k]);
    }
    for (; i < count; i += step)
        total += sum4(__ldcs(data + i));
    atomicAdd(sum, total);
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr int CHUNK_BYTES = 16384; // as in stream.c
constexpr int CONSUMERS = 8;       // warps of a block that add up, beside the one that fetches

__device__ uint32_t shared_address(const void *pointer)
{
    return uint32_t(__cvta_generic_to_shared(pointer));
}

__device__ void barrier_wait(uint64_t *barrier, uint32_t parity)
{
    uint32_t done = 0;
    while (!done)
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;"
                     " selp.u32 %0, 1, 0, p; }"
                     : "=r"(done)
                     : "r"(shared_address(barrier)), "r"(parity)
                     : "memory");
}

// Asks the bulk-copy engine for a chunk; the barrier completes when all of it is there.
__device__ void chunk_fetch(void *to, const char *from, uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     shared_address(barrier)),
                 "r"(CHUNK_BYTES)
                 : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                 " [%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
                 "l"(from), "r"(CHUNK_BYTES), "r"(shared_address(barrier))
                 : "memory");
}

// One block on each multiprocessor. A thread keeps `stages` chunks on their way by the bulk-copy
// engine; warps add up the chunk that has come and hand its place back. bytes is a multiple of
// CHUNK_BYTES.
extern "C" __global__ void __launch_bounds__((CONSUMERS + 1) * 32, 1)
    stream_bulk(const char *data, uint64_t bytes, uint32_t *sum, int stages)
{
    extern __shared__ __align__(128) char ring[]; // [stages, CHUNK_BYTES], then the barriers
    uint64_t *full = reinterpret_cast<uint64_t *>(ring + size_t(stages) * CHUNK_BYTES);
    uint64_t *empty = full + stages;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint64_t chunks = bytes / CHUNK_BYTES;
    if (threadIdx.x == 0) {
        for (int i = 0; i < stages; i++) {
            asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(full + i)));
            asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(empty + i)),
                         "r"(CONSUMERS));
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __syncthreads();
    int stage = 0;
    uint32_t round = 0, total = 0;
    for (uint64_t chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
        char *place = ring + size_t(stage) * CHUNK_BYTES;
        if (warp == CONSUMERS) {
            if (lane == 0) {
                if (round > 0)
                    barrier_wait(empty + stage, (round - 1) & 1);
                chunk_fetch(place, data + chunk * CHUNK_BYTES, full + stage);
            }
        } else {
            barrier_wait(full + stage, round & 1);
            const uint4 *words = reinterpret_cast<const uint4 *>(place) + warp * 32 + lane;
#pragma unroll
            for (int i = 0; i < CHUNK_BYTES / 16 / 32 / CONSUMERS; i++)
                total += sum4(words[i * 32 * CONSUMERS]);
            __syncwarp();
            if (lane == 0)
                asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(
                                 shared_address(empty + stage))
                             : "memory");
        }
        if (++stage == stages) {
            stage = 0;
            round++;
        }
    }
    if (warp < CONSUMERS)
        atomicAdd(sum, total);
}
#endif
