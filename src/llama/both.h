/* BOTH marks a function that the host and the CUDA kernels have. */
#ifndef PRONY_LLAMA_BOTH_H
#define PRONY_LLAMA_BOTH_H

#ifdef __CUDACC__
#define BOTH __host__ __device__ __forceinline__
#else
#define BOTH static inline
#endif

#endif
