#include "probe/stream.h"

#include "base/clock.h"

FATBIN_DECLARE(stream);

enum {
    CHUNK_BYTES = 16384, /* as in stream.cu */
    BULK_THREADS = 288,  /* 8 warps that add up and one that fetches */
    BULK_STAGES_MAX = 12,
    PLAIN_THREADS = 512,
    MIN_PASSES = 5
};

static const uint32_t FACTOR = 2654435761; /* of word i; any odd number far from small ones */
static const uint64_t MAX_BYTES = UINT64_C(4) << 30;

struct probe {
    const struct cuda *cuda;
    const struct cuda_device *device;
    struct cuda_module *module;
    cuda_pointer data, sum;
    struct cuda_event *start, *end;
    uint64_t bytes;
    int64_t budget_ns;
};

/* One way to read, ready to be launched. */
struct kernel {
    const char *name;
    struct cuda_function *function;
    unsigned grid, threads, shared_bytes;
    int stages;
};

/* A quarter of what is free, at most 4 GB; it must hold the cache many times over. */
static enum status buffer_size(struct probe *probe, struct error *err)
{
    size_t free_bytes, total_bytes;
    enum status status = cuda_check(probe->cuda, probe->cuda->MemGetInfo(&free_bytes, &total_bytes),
                                    err, "ask for the GPU's free memory");
    if (status)
        return status;
    probe->bytes = free_bytes / 4 < MAX_BYTES ? free_bytes / 4 : MAX_BYTES;
    probe->bytes = probe->bytes / CHUNK_BYTES * CHUNK_BYTES;
    if (probe->bytes >= 8 * probe->device->l2_bytes && probe->bytes > 0)
        return STATUS_OK;
    error_set(err, STATUS_NO_MEMORY,
              "too little GPU memory is free to probe its bandwidth: %.3f GB",
              (double)free_bytes / 1e9);
    return error_remedy(err, "End other programs on the GPU (nvidia-smi lists them).");
}

static enum status buffer_fill(struct probe *probe, struct error *err)
{
    const struct cuda *cuda = probe->cuda;
    struct cuda_function *fill;
    uint64_t count = probe->bytes / sizeof(uint32_t);
    uint32_t factor = FACTOR;
    void *parameters[] = {&probe->data, &count, &factor};
    cuda_result result = cuda->ModuleGetFunction(&fill, probe->module, "stream_fill");
    if (!result)
        result = cuda->LaunchKernel(fill, 4 * (unsigned)probe->device->multiprocessors, 1, 1, 512,
                                    1, 1, 0, NULL, parameters, NULL);
    if (!result)
        result = cuda->CtxSynchronize();
    return cuda_check(cuda, result, err, "fill the buffer of the bandwidth probe");
}

/* The sum of all words, modulo 2^32. */
static uint32_t expected_sum(const struct probe *probe)
{
    uint64_t count = probe->bytes / sizeof(uint32_t); /* even */
    return (uint32_t)(count / 2 * (count - 1)) * FACTOR;
}

static cuda_result pass_run(const struct probe *probe, const struct kernel *kernel, float *ms)
{
    const struct cuda *cuda = probe->cuda;
    cuda_pointer data = probe->data, sum = probe->sum;
    uint64_t bytes = probe->bytes;
    int stages = kernel->stages;
    void *parameters[] = {&data, &bytes, &sum, &stages};
    cuda_result result = cuda->MemsetD8(sum, 0, sizeof(uint32_t));
    if (!result)
        result = cuda->EventRecord(probe->start, NULL);
    if (!result)
        result = cuda->LaunchKernel(kernel->function, kernel->grid, 1, 1, kernel->threads, 1, 1,
                                    kernel->shared_bytes, NULL, parameters, NULL);
    if (!result)
        result = cuda->EventRecord(probe->end, NULL);
    if (!result)
        result = cuda->EventSynchronize(probe->end);
    return result ? result : cuda->EventElapsedTime(ms, probe->start, probe->end);
}

/* Reads the buffer until the time is up; the best pass goes to result if it is better. */
static enum status kernel_time(const struct probe *probe, const struct kernel *kernel,
                               struct stream_result *result, struct error *err)
{
    int64_t begin_ns = clock_now_ns();
    for (uint32_t pass = 0; pass < MIN_PASSES || clock_now_ns() - begin_ns < probe->budget_ns;
         pass++) {
        float ms = 0;
        uint32_t sum = 0;
        cuda_result code = pass_run(probe, kernel, &ms);
        if (!code)
            code = probe->cuda->MemcpyDtoH(&sum, probe->sum, sizeof sum);
        if (code)
            return cuda_check(probe->cuda, code, err, "read the GPU's memory");
        if (sum != expected_sum(probe))
            return error_set(err, STATUS_WORKER,
                             "the bandwidth probe read other bytes than it wrote: the sum is %08x, "
                             "not %08x",
                             sum, expected_sum(probe));
        double rate = ms > 0 ? (double)probe->bytes / (ms * 1e-3) : 0;
        result->passes++;
        if (rate > result->bytes_per_second) {
            result->bytes_per_second = rate;
            result->kernel = kernel->name;
        }
    }
    return STATUS_OK;
}

static enum status plain_time(const struct probe *probe, struct stream_result *result,
                              struct error *err)
{
    const struct cuda *cuda = probe->cuda;
    struct kernel kernel = {.name = "plain", .threads = PLAIN_THREADS};
    int blocks = 0;
    cuda_result code = cuda->ModuleGetFunction(&kernel.function, probe->module, "stream_plain");
    if (!code)
        code = cuda->OccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel.function,
                                                               PLAIN_THREADS, 0);
    if (code)
        return cuda_check(cuda, code, err, "find the probe's kernel");
    kernel.grid = (unsigned)(blocks * probe->device->multiprocessors);
    return kernel_time(probe, &kernel, result, err);
}

/* Only images for Hopper have this kernel. */
static enum status bulk_time(const struct probe *probe, struct stream_result *result,
                             struct error *err)
{
    const struct cuda *cuda = probe->cuda;
    const unsigned stage_bytes = CHUNK_BYTES + 2 * sizeof(uint64_t);
    struct kernel kernel = {
        .name = "bulk", .threads = BULK_THREADS, .grid = (unsigned)probe->device->multiprocessors};
    cuda_result code = cuda->ModuleGetFunction(&kernel.function, probe->module, "stream_bulk");
    if (code == CUDA_NOT_FOUND)
        return STATUS_OK;
    kernel.stages = probe->device->shared_bytes / (int)stage_bytes;
    kernel.stages = kernel.stages < BULK_STAGES_MAX ? kernel.stages : BULK_STAGES_MAX;
    kernel.shared_bytes = (unsigned)kernel.stages * stage_bytes;
    if (!code)
        code = cuda->FuncSetAttribute(kernel.function, CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES,
                                      (int)kernel.shared_bytes);
    if (code)
        return cuda_check(cuda, code, err, "prepare the probe's kernel");
    return kernel_time(probe, &kernel, result, err);
}

enum status stream_probe(const struct cuda *cuda, const struct cuda_device *device,
                         uint32_t budget_ms, struct stream_result *result, struct error *err)
{
    struct probe probe = {
        .cuda = cuda, .device = device, .budget_ns = (int64_t)budget_ms * 1000000 / 2};
    struct fatbin fatbin = FATBIN(stream);
    *result = (struct stream_result){0};
    enum status status = cuda_module_load(cuda, &fatbin, device, &probe.module, err);
    if (!status)
        status = buffer_size(&probe, err);
    if (!status)
        status = cuda_memory_get(cuda, probe.bytes, &probe.data, err);
    if (!status)
        status = cuda_memory_get(cuda, sizeof(uint32_t), &probe.sum, err);
    if (!status)
        status = cuda_check(cuda, cuda->EventCreate(&probe.start, 0), err, "make an event");
    if (!status)
        status = cuda_check(cuda, cuda->EventCreate(&probe.end, 0), err, "make an event");
    if (!status)
        status = buffer_fill(&probe, err);
    if (!status)
        status = plain_time(&probe, result, err);
    if (!status)
        status = bulk_time(&probe, result, err);
    result->bytes = probe.bytes;
    if (probe.end)
        cuda->EventDestroy(probe.end);
    if (probe.start)
        cuda->EventDestroy(probe.start);
    if (probe.sum)
        cuda->MemFree(probe.sum);
    if (probe.data)
        cuda->MemFree(probe.data);
    if (probe.module)
        cuda->ModuleUnload(probe.module);
    return status;
}
