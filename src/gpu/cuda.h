/* NVIDIA's driver API, found at run time by dlopen("libcuda.so.1"): one binary serves machines with
 * and without a GPU, and nothing here needs CUDA's headers. Functions, types and constants have the
 * driver's own names (cuMemAlloc is cuda.MemAlloc) and values; its documentation is theirs. */
#ifndef PRONY_GPU_CUDA_H
#define PRONY_GPU_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "gpu/fatbin.h"

struct cuda_context;
struct cuda_module;
struct cuda_function;
struct cuda_stream;
struct cuda_event;
struct cuda_graph;
struct cuda_graph_run;         /* CUgraphExec */
typedef uint64_t cuda_pointer; /* CUdeviceptr */

/* CUresult: 0 is success; gpu/cuda_error.c knows those that a user can do something about. */
typedef int cuda_result;
enum { CUDA_SUCCESS = 0, CUDA_NO_MEMORY = 2, CUDA_NOT_FOUND = 500, CUDA_NOT_READY = 600 };

/* CUdevice_attribute */
enum {
    CUDA_ATTRIBUTE_MULTIPROCESSORS = 16,
    CUDA_ATTRIBUTE_INTEGRATED = 18,
    CUDA_ATTRIBUTE_L2_BYTES = 38,
    CUDA_ATTRIBUTE_COMPUTE_MAJOR = 75,
    CUDA_ATTRIBUTE_COMPUTE_MINOR = 76,
    CUDA_ATTRIBUTE_COOPERATIVE_LAUNCH = 95,
    CUDA_ATTRIBUTE_SHARED_BYTES_OPTIN = 97
};

enum { CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES = 8 }; /* CUfunction_attribute */
enum { CUDA_STREAM_NON_BLOCKING = 1 };
enum { CUDA_CAPTURE_THREAD_LOCAL = 1 }; /* CUstreamCaptureMode */
enum { CUDA_EVENT_BLOCKING_SYNC = 1, CUDA_EVENT_DISABLE_TIMING = 2 };
enum { CUDA_HOST_PORTABLE = 1, CUDA_HOST_MAPPED = 2, CUDA_HOST_WRITE_COMBINED = 4 };

/* CUtensorMapDataType, -Swizzle, -L2promotion */
enum { CUDA_TENSOR_UINT16 = 1, CUDA_TENSOR_SWIZZLE_128 = 3, CUDA_TENSOR_PROMOTE_128 = 2 };

/* CUlaunchConfig, with attributes as CUlaunchAttribute has them */
enum { CUDA_LAUNCH_PROGRAMMATIC = 6 }; /* begins before the kernel before it has ended: value 1 */
struct cuda_launch_attribute {
    unsigned id, unused;
    unsigned value[16];
};
struct cuda_launch {
    unsigned grid[3], block[3], shared_bytes;
    struct cuda_stream *stream;
    struct cuda_launch_attribute *attributes;
    unsigned attribute_count;
};

/* name, name in the library, parameters; all return a CUresult. */
#define CUDA_FUNCTIONS(FUNCTION)                                                                   \
    FUNCTION(Init, "cuInit", (unsigned flags))                                                     \
    FUNCTION(DriverGetVersion, "cuDriverGetVersion", (int *version))                               \
    FUNCTION(GetErrorName, "cuGetErrorName", (cuda_result result, const char **name))              \
    FUNCTION(GetErrorString, "cuGetErrorString", (cuda_result result, const char **text))          \
    FUNCTION(DeviceGetCount, "cuDeviceGetCount", (int *count))                                     \
    FUNCTION(DeviceGet, "cuDeviceGet", (int *device, int ordinal))                                 \
    FUNCTION(DeviceGetName, "cuDeviceGetName", (char *name, int size, int device))                 \
    FUNCTION(DeviceGetPCIBusId, "cuDeviceGetPCIBusId", (char *id, int size, int device))           \
    FUNCTION(DeviceTotalMem, "cuDeviceTotalMem_v2", (size_t * bytes, int device))                  \
    FUNCTION(DeviceGetAttribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))  \
    FUNCTION(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain",                                   \
             (struct cuda_context * *context, int device))                                         \
    FUNCTION(DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (int device))                \
    FUNCTION(CtxSetCurrent, "cuCtxSetCurrent", (struct cuda_context * context))                    \
    FUNCTION(CtxSynchronize, "cuCtxSynchronize", (void))                                           \
    FUNCTION(ModuleLoadData, "cuModuleLoadData",                                                   \
             (struct cuda_module * *module, const void *image))                                    \
    FUNCTION(ModuleUnload, "cuModuleUnload", (struct cuda_module * module))                        \
    FUNCTION(ModuleGetFunction, "cuModuleGetFunction",                                             \
             (struct cuda_function * *function, struct cuda_module * module, const char *name))    \
    FUNCTION(                                                                                      \
        ModuleGetGlobal, "cuModuleGetGlobal_v2",                                                   \
        (cuda_pointer * address, size_t * bytes, struct cuda_module * module, const char *name))   \
    FUNCTION(FuncSetAttribute, "cuFuncSetAttribute",                                               \
             (struct cuda_function * function, int attribute, int value))                          \
    FUNCTION(OccupancyMaxActiveBlocksPerMultiprocessor,                                            \
             "cuOccupancyMaxActiveBlocksPerMultiprocessor",                                        \
             (int *blocks, struct cuda_function *function, int threads, size_t shared_bytes))      \
    FUNCTION(LaunchKernel, "cuLaunchKernel",                                                       \
             (struct cuda_function * function, unsigned grid_x, unsigned grid_y, unsigned grid_z,  \
              unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,         \
              struct cuda_stream *stream, void **parameters, void **extra))                        \
    FUNCTION(LaunchCooperativeKernel, "cuLaunchCooperativeKernel",                                 \
             (struct cuda_function * function, unsigned grid_x, unsigned grid_y, unsigned grid_z,  \
              unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,         \
              struct cuda_stream *stream, void **parameters))                                      \
    FUNCTION(LaunchKernelEx, "cuLaunchKernelEx",                                                   \
             (const struct cuda_launch *launch, struct cuda_function *function, void **parameters, \
              void **extra))                                                                       \
    FUNCTION(TensorMapEncodeTiled, "cuTensorMapEncodeTiled",                                       \
             (void *map, int type, uint32_t rank, const void *address, const uint64_t *sizes,      \
              const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave, \
              int swizzle, int promotion, int fill))                                               \
    FUNCTION(MemGetInfo, "cuMemGetInfo_v2", (size_t * free_bytes, size_t * total_bytes))           \
    FUNCTION(MemAlloc, "cuMemAlloc_v2", (cuda_pointer * address, size_t bytes))                    \
    FUNCTION(MemFree, "cuMemFree_v2", (cuda_pointer address))                                      \
    FUNCTION(MemHostAlloc, "cuMemHostAlloc", (void **address, size_t bytes, unsigned flags))       \
    FUNCTION(MemFreeHost, "cuMemFreeHost", (void *address))                                        \
    FUNCTION(MemHostGetDevicePointer, "cuMemHostGetDevicePointer_v2",                              \
             (cuda_pointer * device, void *host, unsigned flags))                                  \
    FUNCTION(MemcpyHtoD, "cuMemcpyHtoD_v2", (cuda_pointer to, const void *from, size_t bytes))     \
    FUNCTION(MemcpyDtoH, "cuMemcpyDtoH_v2", (void *to, cuda_pointer from, size_t bytes))           \
    FUNCTION(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                              \
             (cuda_pointer to, const void *from, size_t bytes, struct cuda_stream *stream))        \
    FUNCTION(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2",                                              \
             (void *to, cuda_pointer from, size_t bytes, struct cuda_stream *stream))              \
    FUNCTION(MemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                              \
             (cuda_pointer to, cuda_pointer from, size_t bytes, struct cuda_stream * stream))      \
    FUNCTION(MemsetD8, "cuMemsetD8_v2", (cuda_pointer to, unsigned char value, size_t count))      \
    FUNCTION(MemsetD8Async, "cuMemsetD8Async",                                                     \
             (cuda_pointer to, unsigned char value, size_t count, struct cuda_stream *stream))     \
    FUNCTION(StreamCreate, "cuStreamCreate", (struct cuda_stream * *stream, unsigned flags))       \
    FUNCTION(StreamDestroy, "cuStreamDestroy_v2", (struct cuda_stream * stream))                   \
    FUNCTION(StreamSynchronize, "cuStreamSynchronize", (struct cuda_stream * stream))              \
    FUNCTION(StreamQuery, "cuStreamQuery", (struct cuda_stream * stream))                          \
    FUNCTION(StreamWaitEvent, "cuStreamWaitEvent",                                                 \
             (struct cuda_stream * stream, struct cuda_event * event, unsigned flags))             \
    FUNCTION(StreamBeginCapture, "cuStreamBeginCapture_v2",                                        \
             (struct cuda_stream * stream, int mode))                                              \
    FUNCTION(StreamEndCapture, "cuStreamEndCapture",                                               \
             (struct cuda_stream * stream, struct cuda_graph * *graph))                            \
    FUNCTION(GraphInstantiate, "cuGraphInstantiateWithFlags",                                      \
             (struct cuda_graph_run * *run, struct cuda_graph * graph, uint64_t flags))            \
    FUNCTION(GraphLaunch, "cuGraphLaunch",                                                         \
             (struct cuda_graph_run * run, struct cuda_stream * stream))                           \
    FUNCTION(GraphDestroy, "cuGraphDestroy", (struct cuda_graph * graph))                          \
    FUNCTION(GraphRunDestroy, "cuGraphExecDestroy", (struct cuda_graph_run * run))                 \
    FUNCTION(EventCreate, "cuEventCreate", (struct cuda_event * *event, unsigned flags))           \
    FUNCTION(EventDestroy, "cuEventDestroy_v2", (struct cuda_event * event))                       \
    FUNCTION(EventRecord, "cuEventRecord",                                                         \
             (struct cuda_event * event, struct cuda_stream * stream))                             \
    FUNCTION(EventQuery, "cuEventQuery", (struct cuda_event * event))                              \
    FUNCTION(EventSynchronize, "cuEventSynchronize", (struct cuda_event * event))                  \
    FUNCTION(EventElapsedTime, "cuEventElapsedTime",                                               \
             (float *milliseconds, struct cuda_event *start, struct cuda_event *end))

struct cuda {
    void *library;
    int driver_version; /* CUDA version that the driver knows: 13000 is 13.0 */
#define CUDA_MEMBER(name, symbol, parameters) cuda_result(*name) parameters;
    CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
};

/* Loads and initialises the driver. The errors name what is missing (the driver, a newer driver, a
 * card) and what mends it. On failure nothing is left to close. */
enum status cuda_open(struct cuda *cuda, struct error *err);
void cuda_close(struct cuda *cuda);

/* A result as an error: "cannot DOING: NAME (text)", with a remedy where there is one; STATUS_OK
 * for success. */
enum status cuda_check(const struct cuda *cuda, cuda_result result, struct error *err,
                       const char *doing, ...) __attribute__((format(printf, 4, 5)));

/* The card that a worker is to use. */
struct cuda_device {
    int device, ordinal; /* CUdevice, and N of cuda:N */
    char name[96];
    char pci[20]; /* "00000000:01:00.0" in NVML's form: how the two name one card */
    int compute_major, compute_minor;
    int multiprocessors;
    int shared_bytes; /* that a block may have */
    uint64_t l2_bytes, total_bytes;
};

/* The ordinal in "cuda" or "cuda:N"; -1 for anything else. */
int cuda_device_parse(const char *text);
/* Refuses cards older than Ampere, for which there are no kernels. */
enum status cuda_device_find(const struct cuda *cuda, const char *text, struct cuda_device *device,
                             struct error *err);
/* Makes the device's primary context current; cuda.DevicePrimaryCtxRelease(device) ends it. */
enum status cuda_context_use(const struct cuda *cuda, const struct cuda_device *device,
                             struct error *err);
/* Loads kernels into the current context. */
enum status cuda_module_load(const struct cuda *cuda, const struct fatbin *fatbin,
                             const struct cuda_device *device, struct cuda_module **module,
                             struct error *err);
enum status cuda_memory_get(const struct cuda *cuda, size_t bytes, cuda_pointer *address,
                            struct error *err);

#endif
