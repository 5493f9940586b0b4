/* The GPU that --device names, asked by prony-probe-cuda: a program of its own, so that neither a
 * CUDA context nor a driver's crash gets into this process. */
#ifndef PRONY_MACHINE_GPU_H
#define PRONY_MACHINE_GPU_H

#include <stdint.h>

#include "base/error.h"
#include "machine/bandwidth.h"

struct gpu {
    char name[96]; /* "NVIDIA H200"; "" for the device cpu */
    char pci[32];  /* "0000:01:00.0": how the driver, NVML and the system name one card */
    uint64_t total_bytes, l2_bytes;
    uint32_t multiprocessors, compute_major, compute_minor;
    uint32_t cuda_version; /* that the driver knows: 13000 is 13.0 */
};

/* Is device "cpu", or a GPU ("cuda", "cuda:N") that this machine has and that there are kernels
 * for? The error says what is missing and what mends it. */
enum status gpu_check(const char *device, struct gpu *gpu, struct error *err);

/* The read bandwidth of a GPU's memory, as bandwidth_probe() tells it of the CPU's. Takes about a
 * second, budget_ms of it to read. */
enum status gpu_bandwidth(const char *device, uint32_t budget_ms, struct bandwidth *result,
                          struct error *err);

#endif
