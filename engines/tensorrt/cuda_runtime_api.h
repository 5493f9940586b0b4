/* What TensorRT's headers use of CUDA's: two names of things that they only point to. With these,
 * the shim needs no CUDA toolkit. */
#ifndef PRONY_TENSORRT_CUDA_RUNTIME_API_H
#define PRONY_TENSORRT_CUDA_RUNTIME_API_H

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;

#endif
