/* Barriers in shared memory that copies complete, and what kernels need to wait: Hopper's. */
#ifndef PRONY_LLAMA_CUDA_BARRIER_CUH
#define PRONY_LLAMA_CUDA_BARRIER_CUH

#include <stdint.h>

enum { TIMEOUT_NS = 4000000000u }; /* a wait of so long is a fault: end the kernel */

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
/* Ends the kernel with an error, by a store to nowhere: where there is a trap, the compiler does
 * not let the warps of a kernel have different numbers of registers. */
__device__ __forceinline__ void fault()
{
    asm volatile("st.global.u32 [%0], %1;" ::"l"(16ull), "r"(0) : "memory");
}
__device__ __forceinline__ void barrier_init(uint64_t *barrier, uint32_t count)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count));
}
/* Makes barriers that were initialised known to the copy engine. */
__device__ __forceinline__ void barriers_publish()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/* Arrives, and has the barrier wait for so many bytes to be copied besides. */
__device__ __forceinline__ void barrier_expect(uint64_t *barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(bytes)
                 : "memory");
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
            fault();
}
#endif
