#include "llama/cuda/card.h"

#include <stdio.h>

enum status card_open(struct card *card, const char *device, struct error *err)
{
    *card = (struct card){0};
    enum status status = cuda_open(&card->cuda, err);
    if (status != STATUS_OK)
        return status;
    status = cuda_device_find(&card->cuda, device, &card->device, err);
    if (status == STATUS_OK)
        status = cuda_context_use(&card->cuda, &card->device, err);
    if (status == STATUS_OK) {
        card->in_context = true;
        status = cuda_check(&card->cuda,
                            card->cuda.StreamCreate(&card->stream, CUDA_STREAM_NON_BLOCKING), err,
                            "make a stream on %s", card->device.name);
    }
    if (status != STATUS_OK)
        card_close(card);
    return status;
}

void card_close(struct card *card)
{
    for (size_t i = 0; i < card->modules; i++)
        card->cuda.ModuleUnload(card->module[i]);
    if (card->stream)
        card->cuda.StreamDestroy(card->stream);
    if (card->in_context)
        card->cuda.DevicePrimaryCtxRelease(card->device.device);
    cuda_close(&card->cuda);
    *card = (struct card){0};
}

bool card_is_hopper(const struct card *card)
{
    return card->device.compute_major == 9 && card->device.compute_minor == 0;
}

enum status card_load(struct card *card, const struct fatbin *fatbin, struct cuda_module **module,
                      struct error *err)
{
    if (card->modules == CARD_MODULES) {
        error_set(err, STATUS_UNSUPPORTED, "more than %d files of kernels for one card",
                  CARD_MODULES);
        return STATUS_UNSUPPORTED;
    }
    enum status status = cuda_module_load(&card->cuda, fatbin, &card->device, module, err);
    if (status == STATUS_OK)
        card->module[card->modules++] = *module;
    return status;
}

enum status card_kernel(const struct card *card, struct cuda_module *module, const char *name,
                        int type, struct cuda_function **function, struct error *err)
{
    static const char *const types[] = {
        [LLAMA_F32] = "f32", [LLAMA_F16] = "f16", [LLAMA_BF16] = "bf16"};
    char full[64];
    snprintf(full, sizeof full, "%s%s%s", name, type < 0 ? "" : "_", type < 0 ? "" : types[type]);
    return cuda_check(&card->cuda, card->cuda.ModuleGetFunction(function, module, full), err,
                      "find the kernel %s", full);
}

enum status card_kernels(struct card *card, const struct fatbin *fatbin,
                         const struct card_kernel_row *rows, size_t count, struct error *err)
{
    struct cuda_module *module;
    enum status status = card_load(card, fatbin, &module, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = card_kernel(card, module, rows[i].name, rows[i].type, rows[i].to, err);
    return status;
}

enum status card_launch_3d(const struct card *card, struct cuda_function *function,
                           const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes,
                           void **arguments, struct error *err)
{
    return cuda_check(&card->cuda,
                      card->cuda.LaunchKernel(function, grid[0], grid[1], grid[2], threads, 1, 1,
                                              shared_bytes, card->stream, arguments, NULL),
                      err, "start a kernel on %s", card->device.name);
}

enum status card_launch_early(const struct card *card, struct cuda_function *function,
                              const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes,
                              void **arguments, struct error *err)
{
    struct cuda_launch_attribute early = {.id = CUDA_LAUNCH_PROGRAMMATIC, .value = {1}};
    struct cuda_launch launch = {
        .grid = {grid[0], grid[1], grid[2]},
        .block = {threads, 1, 1},
        .shared_bytes = shared_bytes,
        .stream = card->stream,
        .attributes = &early,
        .attribute_count = card_is_hopper(card),
    };
    return cuda_check(&card->cuda, card->cuda.LaunchKernelEx(&launch, function, arguments, NULL),
                      err, "start a kernel on %s", card->device.name);
}

enum status card_launch(const struct card *card, struct cuda_function *function, uint32_t grid_x,
                        uint32_t grid_y, uint32_t threads, uint32_t shared_bytes, void **arguments,
                        struct error *err)
{
    return card_launch_3d(card, function, (const uint32_t[]){grid_x, grid_y, 1}, threads,
                          shared_bytes, arguments, err);
}

enum status card_wait(const struct card *card, struct error *err)
{
    return cuda_check(&card->cuda, card->cuda.StreamSynchronize(card->stream), err, "compute on %s",
                      card->device.name);
}

enum status card_record_begin(const struct card *card, struct error *err)
{
    return cuda_check(&card->cuda,
                      card->cuda.StreamBeginCapture(card->stream, CUDA_CAPTURE_THREAD_LOCAL), err,
                      "record on %s", card->device.name);
}

enum status card_record_end(const struct card *card, enum status status,
                            struct cuda_graph_run **run, struct error *err)
{
    struct cuda_graph *graph = NULL;
    *run = NULL;
    cuda_result result = card->cuda.StreamEndCapture(card->stream, &graph);
    if (status == STATUS_OK && !result)
        result = card->cuda.GraphInstantiate(run, graph, 0);
    if (graph)
        card->cuda.GraphDestroy(graph);
    return status == STATUS_OK
               ? cuda_check(&card->cuda, result, err, "record on %s", card->device.name)
               : status;
}
