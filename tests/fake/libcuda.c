/* A libcuda.so.1 without a GPU: what src/gpu calls and, with libcuda_tinygrad.c, what tinygrad
 * calls, with errors on request. Memory is the host's, the kernels of src/probe/stream.cu and
 * engines/tensorrt/step.cu are computed here, those of src/llama/cuda that choose an id choose the
 * same one always, and all others do nothing.
 *
 * FAKE_CUDA holds words: "cuInit=100" makes that function fail with that code; "version=11040",
 * "count=0", "major=7" and "free=1000000" change what the driver tells; "abort=1" crashes it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS "FAKE_CUDA"
#include "libcuda.h"
#include "setting.h"

typedef unsigned long long pointer;

PLAIN(cuDevicePrimaryCtxRelease_v2)
PLAIN(cuCtxSetCurrent)
PLAIN(cuCtxSynchronize)
PLAIN(cuModuleUnload)
PLAIN(cuModuleGetGlobal_v2)
PLAIN(cuFuncSetAttribute)
PLAIN(cuLaunchCooperativeKernel)
PLAIN(cuLaunchKernelEx)
PLAIN(cuTensorMapEncodeTiled)
PLAIN(cuStreamCreate)
PLAIN(cuStreamDestroy_v2)
PLAIN(cuStreamSynchronize)
PLAIN(cuStreamQuery)
PLAIN(cuStreamWaitEvent)
PLAIN(cuGraphDestroy)
PLAIN(cuEventCreate)
PLAIN(cuEventDestroy_v2)
PLAIN(cuEventRecord)
PLAIN(cuEventQuery)
PLAIN(cuEventSynchronize)

EXPORT int cuInit(unsigned flags);
int cuInit(unsigned flags)
{
    (void)flags;
    if (setting("abort", 0))
        abort();
    return RESULT;
}

EXPORT int cuDriverGetVersion(int *version);
int cuDriverGetVersion(int *version)
{
    *version = (int)setting("version", 13000);
    return RESULT;
}

EXPORT int cuGetErrorName(int result, const char **name);
int cuGetErrorName(int result, const char **name)
{
    *name = result == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return 0;
}

EXPORT int cuGetErrorString(int result, const char **text);
int cuGetErrorString(int result, const char **text)
{
    *text = result == 2 ? "out of memory" : "made up";
    return 0;
}

EXPORT int cuDeviceGetCount(int *count);
int cuDeviceGetCount(int *count)
{
    *count = (int)setting("count", 1);
    return RESULT;
}

EXPORT int cuDeviceGet(int *device, int ordinal);
int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return RESULT;
}

EXPORT int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetName(char *name, int size, int device)
{
    (void)device;
    strncpy(name, "Fake GPU", (size_t)size);
    return RESULT;
}

EXPORT int cuDeviceGetPCIBusId(char *id, int size, int device);
int cuDeviceGetPCIBusId(char *id, int size, int device)
{
    (void)device;
    strncpy(id, "0000:01:00.0", (size_t)size);
    return RESULT;
}

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int device);
int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    (void)device;
    *bytes = (size_t)1 << 30;
    return RESULT;
}

EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == 75   ? (int)setting("major", 9)
             : attribute == 16 ? 4
             : attribute == 97 ? 232448
             : attribute == 38 ? 1 << 20
                               : 0;
    return RESULT;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRetain(void **context, int device)
{
    (void)device;
    *context = NULL;
    return RESULT;
}

EXPORT int cuModuleLoadData(void **module, const void *image);
int cuModuleLoadData(void **module, const void *image)
{
    static const uint32_t fatbin = 0xba55ed50;
    *module = NULL;
    return memcmp(image, &fatbin, 4) == 0 || memcmp(image, ".ver", 4) == 0 ? RESULT : 200;
}

/* A kernel is its name; this driver has none for Hopper alone. */
EXPORT int cuModuleGetFunction(const char **function, void *module, const char *name);
int cuModuleGetFunction(const char **function, void *module, const char *name)
{
    static const char *const names[] = {"stream_fill",  "stream_plain", "step_append",
                                        "step_advance", "argmax",       "choose"};
    (void)module;
    if (strcmp(name, "stream_bulk") == 0)
        return 500;
    *function = "other";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            *function = names[i];
    return RESULT;
}

EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const char *function,
                                                       int threads, size_t shared);
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const char *function, int threads,
                                                size_t shared)
{
    (void)function, (void)threads, (void)shared;
    *blocks = 4;
    return RESULT;
}

static void stream_fill(uint32_t *words, uint64_t count, uint32_t factor)
{
    for (uint64_t i = 0; i < count; i++)
        words[i] = (uint32_t)i * factor;
}

static void stream_plain(const uint32_t *words, uint64_t bytes, uint32_t *sum)
{
    uint64_t left = setting("lose", 0) ? 1 : 0; /* a card that leaves out the first word but one */
    for (uint64_t i = 0; i < bytes / sizeof *words; i++)
        *sum += left && i == 1 ? 0 : words[i];
}

/* What a thread's stream that is captured would do, in order; a graph is a copy. */
struct graph {
    struct {
        void (*run)(void *data);
        char data[128];
    } step[16];
    size_t count;
};
static _Thread_local struct graph captured;
static _Thread_local int capturing;

EXPORT void fake_cuda_do(void (*run)(void *data), const void *data, size_t bytes)
{
    char copy[sizeof captured.step[0].data];
    if (bytes > sizeof copy || captured.count == sizeof captured.step / sizeof captured.step[0])
        abort();
    memcpy(copy, data, bytes);
    if (!capturing) {
        run(copy);
        return;
    }
    captured.step[captured.count].run = run;
    memcpy(captured.step[captured.count++].data, copy, bytes);
}

EXPORT int cuStreamBeginCapture_v2(void *stream, int mode);
int cuStreamBeginCapture_v2(void *stream, int mode)
{
    (void)stream, (void)mode;
    captured.count = 0;
    capturing = 1;
    return RESULT;
}

EXPORT int cuStreamEndCapture(void *stream, void **graph);
int cuStreamEndCapture(void *stream, void **graph)
{
    (void)stream;
    capturing = 0;
    *graph = &captured;
    return RESULT;
}

EXPORT int cuGraphInstantiateWithFlags(void **run, void *graph, uint64_t flags);
int cuGraphInstantiateWithFlags(void **run, void *graph, uint64_t flags)
{
    (void)flags;
    *run = malloc(sizeof captured);
    if (!*run)
        abort();
    memcpy(*run, graph, sizeof captured);
    return RESULT;
}

EXPORT int cuGraphExecDestroy(void *run);
int cuGraphExecDestroy(void *run)
{
    free(run);
    return RESULT;
}

EXPORT int cuGraphLaunch(struct graph *run, void *stream);
int cuGraphLaunch(struct graph *run, void *stream)
{
    (void)stream;
    for (size_t i = 0; run && i < run->count; i++)
        run->step[i].run(run->step[i].data);
    return RESULT;
}

/* As src/llama/cuda/layout.h has it. */
struct chosen {
    int32_t *next;
    volatile int32_t *ids;
    struct {
        uint32_t position, made;
    } * state;
};

static void choose(void *data)
{
    enum { ID = 7 };
    const struct chosen *to = data;
    uint32_t made = 0;
    if (to->state) {
        made = to->state->made++;
        to->state->position++;
    }
    *to->next = ID;
    if (to->ids)
        to->ids[made] = ID;
}

EXPORT int cuLaunchKernel(const char *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                          unsigned by, unsigned bz, unsigned shared, void *stream, void **p,
                          void **extra);
int cuLaunchKernel(const char *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned shared, void *stream, void **p, void **extra)
{
    (void)bx, (void)by, (void)bz, (void)shared, (void)stream, (void)extra;
    if (strcmp(function, "stream_fill") == 0)
        stream_fill(*(uint32_t **)p[0], *(uint64_t *)p[1], *(uint32_t *)p[2]);
    else if (strcmp(function, "stream_plain") == 0)
        stream_plain(*(uint32_t **)p[0], *(uint64_t *)p[1], *(uint32_t **)p[2]);
    else if (strcmp(function, "step_append") == 0)
        step_append_launch(p, (const unsigned[]){gx, gy, gz});
    else if (strcmp(function, "step_advance") == 0)
        step_advance_launch(p);
    else if (strcmp(function, "choose") == 0 ||
             (strcmp(function, "argmax") == 0 && !*(void **)p[1]))
        fake_cuda_do(choose, p[0], sizeof(struct chosen));
    return RESULT;
}

EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes);
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = (size_t)setting("free", 64 << 20);
    *total_bytes = (size_t)1 << 30;
    return RESULT;
}

EXPORT int cuMemAlloc_v2(pointer *address, size_t bytes);
int cuMemAlloc_v2(pointer *address, size_t bytes)
{
    int result = RESULT;
    *address = result ? 0 : (pointer)(uintptr_t)malloc(bytes);
    return result;
}

EXPORT int cuMemFree_v2(pointer address);
int cuMemFree_v2(pointer address)
{
    free((void *)(uintptr_t)address);
    return RESULT;
}

EXPORT int cuMemHostAlloc(void **address, size_t bytes, unsigned flags);
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags)
{
    (void)flags;
    *address = calloc(bytes, 1);
    return RESULT;
}

EXPORT int cuMemFreeHost(void *address);
int cuMemFreeHost(void *address)
{
    free(address);
    return RESULT;
}

EXPORT int cuMemHostGetDevicePointer_v2(pointer *device, void *host, unsigned flags);
int cuMemHostGetDevicePointer_v2(pointer *device, void *host, unsigned flags)
{
    (void)flags;
    *device = (pointer)(uintptr_t)host;
    return RESULT;
}

EXPORT int cuMemcpyHtoD_v2(pointer to, const void *from, size_t bytes);
int cuMemcpyHtoD_v2(pointer to, const void *from, size_t bytes)
{
    memcpy((void *)(uintptr_t)to, from, bytes);
    return RESULT;
}

EXPORT int cuMemcpyHtoDAsync_v2(pointer to, const void *from, size_t bytes, void *stream);
int cuMemcpyHtoDAsync_v2(pointer to, const void *from, size_t bytes, void *stream)
{
    (void)stream;
    memcpy((void *)(uintptr_t)to, from, bytes);
    return RESULT;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, pointer from, size_t bytes, void *stream);
int cuMemcpyDtoHAsync_v2(void *to, pointer from, size_t bytes, void *stream)
{
    (void)stream;
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return RESULT;
}

EXPORT int cuMemcpyDtoDAsync_v2(pointer to, pointer from, size_t bytes, void *stream);
int cuMemcpyDtoDAsync_v2(pointer to, pointer from, size_t bytes, void *stream)
{
    (void)stream;
    memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return RESULT;
}

EXPORT int cuMemsetD8Async(pointer to, unsigned char value, size_t count, void *stream);
int cuMemsetD8Async(pointer to, unsigned char value, size_t count, void *stream)
{
    (void)stream;
    memset((void *)(uintptr_t)to, value, count);
    return RESULT;
}

EXPORT int cuMemcpyDtoH_v2(void *to, pointer from, size_t bytes);
int cuMemcpyDtoH_v2(void *to, pointer from, size_t bytes)
{
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return RESULT;
}

EXPORT int cuMemsetD8_v2(pointer to, unsigned char value, size_t count);
int cuMemsetD8_v2(pointer to, unsigned char value, size_t count)
{
    memset((void *)(uintptr_t)to, value, count);
    return RESULT;
}

EXPORT int cuEventElapsedTime(float *milliseconds, void *start, void *end);
int cuEventElapsedTime(float *milliseconds, void *start, void *end)
{
    (void)start, (void)end;
    *milliseconds = 2;
    return RESULT;
}
