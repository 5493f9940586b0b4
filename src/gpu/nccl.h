/* NVIDIA's NCCL, by which the cards of one process exchange; found at run time by dlopen, as the
 * driver is (gpu/cuda.h). Functions, types and constants have the library's own names
 * (ncclAllReduce is nccl.AllReduce) and values; its documentation is theirs. It takes its settings
 * from the environment; none is set here. */
#ifndef PRONY_GPU_NCCL_H
#define PRONY_GPU_NCCL_H

#include "gpu/cuda.h"

struct nccl_comm; /* ncclComm_t: one card of those that exchange */

/* ncclResult_t: 0 is success */
typedef int nccl_result;
enum { NCCL_SUCCESS = 0, NCCL_IN_PROGRESS = 7 };
enum { NCCL_UINT64 = 5, NCCL_FLOAT32 = 7 }; /* ncclDataType_t */
enum { NCCL_SUM = 0, NCCL_MAX = 2 };        /* ncclRedOp_t */

/* name, name in the library, what it returns, parameters */
#define NCCL_FUNCTIONS(FUNCTION)                                                                   \
    FUNCTION(GetVersion, "ncclGetVersion", nccl_result, (int *version))                            \
    FUNCTION(GetErrorString, "ncclGetErrorString", const char *, (nccl_result result))             \
    FUNCTION(GetLastError, "ncclGetLastError", const char *, (struct nccl_comm * comm))            \
    FUNCTION(CommInitAll, "ncclCommInitAll", nccl_result,                                          \
             (struct nccl_comm * *comms, int count, const int *devices))                           \
    FUNCTION(CommGetAsyncError, "ncclCommGetAsyncError", nccl_result,                              \
             (struct nccl_comm * comm, nccl_result * result))                                      \
    FUNCTION(CommDestroy, "ncclCommDestroy", nccl_result, (struct nccl_comm * comm))               \
    FUNCTION(AllReduce, "ncclAllReduce", nccl_result,                                              \
             (const void *from, void *to, size_t count, int type, int operation,                   \
              struct nccl_comm *comm, struct cuda_stream *stream))

struct nccl {
    void *library;
    int version; /* 22907 is 2.29.7 */
#define NCCL_MEMBER(name, symbol, returns, parameters) returns(*name) parameters;
    NCCL_FUNCTIONS(NCCL_MEMBER)
#undef NCCL_MEMBER
};

/* $PRONY_NCCL alone when that is set; else the libnccl.so.2 that the loader finds, or that of an
 * installed engine in Prony's cache. The errors name what is missing and what mends it. On failure
 * nothing is left to close. */
enum status nccl_open(struct nccl *nccl, struct error *err);
void nccl_close(struct nccl *nccl);

/* A result as an error: "cannot DOING: text", and what NCCL itself says of it; STATUS_OK for
 * success. */
enum status nccl_check(const struct nccl *nccl, nccl_result result, struct error *err,
                       const char *doing, ...) __attribute__((format(printf, 4, 5)));

#endif
