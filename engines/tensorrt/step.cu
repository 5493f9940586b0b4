// What a step does beside the network: it puts new rows into the caches, where the network does not
// do that itself, and makes what was chosen the next step's input.
#include <cstdint>

// Rows [caches, heads, tokens, words] into caches [caches, heads, context, words] from *start on. The
// grid is (tokens, heads, caches); strides and words are of 4 bytes.
extern "C" __global__ void step_append(uint32_t *caches, const uint32_t *rows, const int32_t *start,
                                       uint64_t cache_stride, uint64_t rows_stride, uint32_t context,
                                       uint32_t words)
{
    uint64_t to = (uint64_t)blockIdx.y * context + *start + blockIdx.x;
    uint64_t from = (uint64_t)blockIdx.y * gridDim.x + blockIdx.x;
    caches += blockIdx.z * cache_stride + to * words;
    rows += blockIdx.z * rows_stride + from * words;
    for (uint32_t i = threadIdx.x; i < words; i += blockDim.x)
        caches[i] = rows[i];
}

// One thread. arrived is in the host's memory.
extern "C" __global__ void step_advance(int32_t *token, int32_t *start, const int32_t *next,
                                        int32_t count, int32_t *arrived)
{
    *token = *next;
    *start += count;
    *arrived = *next;
}
