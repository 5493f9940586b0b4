/* NVIDIA's management library as it is loaded: its functions, types and results. What is read of a
 * card with them is in nvml.c, who uses it in nvml_processes.c. */
#ifndef PRONY_MACHINE_NVML_LIBRARY_H
#define PRONY_MACHINE_NVML_LIBRARY_H

#include "machine/nvml.h"

/* nvmlReturn_t */
enum { NVML_OK = 0, NVML_NOT_FOUND = 6, NVML_SMALL = 7, NVML_NO_FUNCTION = 13 };

struct memory_info { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct process_info { /* nvmlProcessInfo_t of versions 2 and 3 */
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
};

struct process_use { /* nvmlProcessUtilizationSample_t */
    unsigned pid;
    unsigned long long stamp_us;
    unsigned sm_percent, memory_percent, encoder_percent, decoder_percent;
};

struct utilization { /* nvmlUtilization_t */
    unsigned gpu, memory;
};

struct violation { /* nvmlViolationTime_t */
    unsigned long long reference_us, held_back_ns;
};

typedef struct nvml_device *device_t;
typedef int number_function(device_t, unsigned *);

/* Members that are NULL: the driver is too old to have the function. */
struct nvml {
    void *library;
    int (*init)(void), (*shutdown)(void);
    int (*driver_version)(char *, unsigned), (*cuda_version)(int *);
    int (*count)(unsigned *), (*by_index)(unsigned, device_t *);
    int (*by_pci)(const char *, device_t *);
    int (*name)(device_t, char *, unsigned), (*uuid)(device_t, char *, unsigned);
    int (*pci)(device_t, void *);
    int (*memory)(device_t, struct memory_info *);
    int (*processes)(device_t, unsigned *, struct process_info *);
    int (*uses)(device_t, struct process_use *, unsigned *, unsigned long long);
    int (*clock)(device_t, int, unsigned *), (*clock_max)(device_t, int, unsigned *);
    int (*temperature)(device_t, int, unsigned *);
    int (*utilization)(device_t, struct utilization *);
    number_function *power, *power_limit, *persistence, *pcie_generation, *pcie_generation_max,
        *pcie_width;
    int (*throttle)(device_t, unsigned long long *), (*energy)(device_t, unsigned long long *);
    int (*violation)(device_t, int, struct violation *);
    int (*ecc)(device_t, unsigned *, unsigned *), (*mig)(device_t, unsigned *, unsigned *);
    int (*compute)(device_t, int *, int *);
};

/* What a result means for a reader of "not available: "; a literal. */
const char *nvml_reason(int result);

#endif
