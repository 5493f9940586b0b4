/* Kernels that begin before the one before them has ended (Hopper's programmatic launch): what they
 * do until grid_wait() must not depend on it. On other cards a kernel begins when the one before
 * has ended, and these do nothing. */
#ifndef PRONY_LLAMA_CUDA_GRID_CUH
#define PRONY_LLAMA_CUDA_GRID_CUH

/* Waits until the kernels before have ended and what they wrote can be seen. */
__device__ __forceinline__ void grid_wait()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
/* The next kernel may begin where there is room. */
__device__ __forceinline__ void grid_next()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

#endif
