/* Products of whole warpgroups (wgmma), whose operands the tensor cores read from shared memory, and
 * the copies of tiles that put them there: PTX ISA, "Asynchronous warpgroup level matrix
 * instructions" and "Tensor copy". */
#ifndef PRONY_LLAMA_CUDA_WGMMA_CUH
#define PRONY_LLAMA_CUDA_WGMMA_CUH

#include "llama/cuda/barrier.cuh"
#include "llama/cuda/element.cuh"
#include "llama/cuda/product.h"
#include "llama/cuda/registers.cuh"

/* 64 rows of 64 columns of 16 bits, from (column, row) of matrix `layer`; what lies outside is 0. In
 * shared memory a row has 128 bytes, whose 16-byte pieces are exchanged as the swizzle of 128 bytes
 * does: the tile begins at a multiple of 1024. */
__device__ __forceinline__ void tile_copy(void *to, const tensor_map *map, uint32_t column,
                                          uint32_t row, uint32_t layer, uint64_t *barrier)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
                 " [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
                 "l"(map), "r"(column), "r"(row), "r"(layer), "r"(shared_address(barrier))
                 : "memory");
}
__device__ __forceinline__ void map_prefetch(const tensor_map *map)
{
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/* What the tensor cores take for a tile of such rows: its address, and 1024 bytes from 8 rows to the
 * next 8. 16 columns further is 2 more. */
__device__ __forceinline__ uint64_t tile_descriptor(const void *tile)
{
    return 1ull << 62 | 64ull << 32 | 1ull << 16 | (shared_address(tile) & 0x3ffff) >> 4;
}

/* A warpgroup's products: begin, multiply..., end; then wait until all but LEFT are computed. */
__device__ __forceinline__ void products_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void products_end()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int LEFT> __device__ __forceinline__ void products_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
/* Keeps the compiler from moving what products under way read or write. */
template <int COUNT> __device__ __forceinline__ void sums_hold(float (&sum)[COUNT])
{
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        asm volatile("" : "+f"(sum[i])::"memory");
}

template <int COUNT> __device__ __forceinline__ void sums_hold(uint32_t (&value)[COUNT])
{
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        asm volatile("" : "+r"(value[i])::"memory");
}

#define OPERANDS_32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15" ", " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define OPERANDS_64 OPERANDS_32 ", "\
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" ", " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define OPERANDS_96 OPERANDS_64 ", "\
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" ", " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define OPERANDS_128 OPERANDS_96 ", "\
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" ", " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SUMS_32 \
    "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
    "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), \
    "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
    "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define SUMS_64 SUMS_32, \
    "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), \
    "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
    "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
    "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define SUMS_96 SUMS_64, \
    "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71]), \
    "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79]), \
    "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), \
    "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define SUMS_128 SUMS_96, \
    "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), \
    "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), \
    "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]), \
    "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])

/* d [64, WIDTH] = (add ? d : 0) + a [64, 16] b [WIDTH, 16]^T. A lane's sums: 8 columns at a time, its
 * two of row lane / 4, then of row lane / 4 + 8; 16 rows for each warp. */
#define PRODUCT(T, NAME, WIDTH, COUNT, A, B, ADD)                                                  \
    __device__ __forceinline__ void group_multiply(float (&d)[COUNT], uint64_t a, uint64_t b,      \
                                                   int add, T)                                     \
    {                                                                                              \
        asm volatile("{\n.reg .pred p;\n"                                                          \
                     "setp.ne.b32 p, %" ADD ", 0;\n"                                               \
                     "wgmma.mma_async.sync.aligned.m64n" WIDTH "k16.f32." NAME "." NAME " {"       \
                     OPERANDS_##COUNT "}, %" A ", %" B ", p, 1, 1, 0, 0;\n}"                       \
                     : SUMS_##COUNT                                                                \
                     : "l"(a), "l"(b), "r"(add));                                                  \
    }
PRODUCT(half_t, "f16", "128", 64, "64", "65", "66")
PRODUCT(half_t, "f16", "192", 96, "96", "97", "98")
PRODUCT(half_t, "f16", "256", 128, "128", "129", "130")
PRODUCT(bfloat_t, "bf16", "128", 64, "64", "65", "66")
PRODUCT(bfloat_t, "bf16", "192", 96, "96", "97", "98")
PRODUCT(bfloat_t, "bf16", "256", 128, "128", "129", "130")

/* The same for a tile whose rows are summed over: b [16, columns], in blocks of 64 columns, `block`
 * bytes apart. 16 rows further is 128 more. */
__device__ __forceinline__ uint64_t columns_descriptor(const void *tile, uint32_t block)
{
    return 1ull << 62 | 64ull << 32 | (uint64_t)(block >> 4) << 16 |
           (shared_address(tile) & 0x3ffff) >> 4;
}
/* d [64, WIDTH] = (add ? d : 0) + a [64, 16] b [16, WIDTH], a in registers. */
#define MIX(WIDTH, COUNT, A0, A1, A2, A3, B, ADD)                                                  \
    __device__ __forceinline__ void group_mix(float (&d)[COUNT], const uint32_t *a, uint64_t b,    \
                                              int add)                                             \
    {                                                                                              \
        asm volatile("{\n.reg .pred p;\n"                                                          \
                     "setp.ne.b32 p, %" ADD ", 0;\n"                                               \
                     "wgmma.mma_async.sync.aligned.m64n" WIDTH "k16.f32.f16.f16 {"                 \
                     OPERANDS_##COUNT "}, {%" A0 ", %" A1 ", %" A2 ", %" A3 "}, %" B               \
                     ", p, 1, 1, 1;\n}"                                                            \
                     : SUMS_##COUNT                                                                \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));              \
    }
MIX("64", 32, "32", "33", "34", "35", "36", "37")
MIX("128", 64, "64", "65", "66", "67", "68", "69")

#endif
