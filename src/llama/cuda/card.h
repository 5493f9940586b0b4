/* An NVIDIA GPU with the engine's kernels in it. */
#ifndef PRONY_LLAMA_CUDA_CARD_H
#define PRONY_LLAMA_CUDA_CARD_H

#include <stdint.h>

#include "base/error.h"
#include "gpu/cuda.h"
#include "llama/llama.h"

enum { CARD_MODULES = 16 }; /* at most */

struct card {
    struct cuda cuda;
    struct cuda_device device;
    bool in_context;
    struct cuda_module *module[CARD_MODULES];
    size_t modules;
    struct cuda_stream *stream;
};

/* device is "cuda" or "cuda:N". A zeroed card may be closed. */
enum status card_open(struct card *card, const char *device, struct error *err);
void card_close(struct card *card);

/* Whether it takes the instructions of compute capability 9.0 alone. */
bool card_is_hopper(const struct card *card);

/* Loads one file of kernels; what is loaded is let go by card_close. */
enum status card_load(struct card *card, const struct fatbin *fatbin, struct cuda_module **module,
                      struct error *err);
/* The kernel NAME, or NAME_TYPE for a type of -1 or more. */
enum status card_kernel(const struct card *card, struct cuda_module *module, const char *name,
                        int type, struct cuda_function **function, struct error *err);

/* Loads one file of kernels, and finds those that are named; type as above. */
struct card_kernel_row {
    const char *name;
    int type;
    struct cuda_function **to;
};
enum status card_kernels(struct card *card, const struct fatbin *fatbin,
                         const struct card_kernel_row *rows, size_t count, struct error *err);

/* A launch on the card's stream; arguments are pointers to the kernel's. */
enum status card_launch(const struct card *card, struct cuda_function *function, uint32_t grid_x,
                        uint32_t grid_y, uint32_t threads, uint32_t shared_bytes, void **arguments,
                        struct error *err);
/* The same with a third dimension of the grid. */
enum status card_launch_3d(const struct card *card, struct cuda_function *function,
                           const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes,
                           void **arguments, struct error *err);
/* The same for a kernel that waits by itself for those before it (grid.cuh): on Hopper it may begin
 * before they have ended. */
enum status card_launch_early(const struct card *card, struct cuda_function *function,
                              const uint32_t grid[3], uint32_t threads, uint32_t shared_bytes,
                              void **arguments, struct error *err);
enum status card_wait(const struct card *card, struct error *err);

/* What this thread starts on the stream between the two is written down instead of done. status is
 * how that went. The caller ends *run by GraphRunDestroy; it is NULL on failure. */
enum status card_record_begin(const struct card *card, struct error *err);
enum status card_record_end(const struct card *card, enum status status,
                            struct cuda_graph_run **run, struct error *err);

#endif
