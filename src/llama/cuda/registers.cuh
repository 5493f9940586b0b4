/* Registers that go from some warps of a block to others (Hopper). The compiler takes part only
 * where each role is one branch, and the kernel has no trap. */
#ifndef PRONY_LLAMA_CUDA_REGISTERS_CUH
#define PRONY_LLAMA_CUDA_REGISTERS_CUH

/* Registers that the warps of a warpgroup may have, from here on. */
template <int COUNT> __device__ __forceinline__ void registers_take()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void registers_give()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#endif
