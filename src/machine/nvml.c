#include "machine/nvml.h"

#include <stdio.h>

#include "base/clock.h"
#include "machine/nvml_library.h"

enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, SENSOR_GPU = 0 };

static struct nvml_value value_of(int result, double value)
{
    return result == NVML_OK ? (struct nvml_value){true, value, NULL}
                             : (struct nvml_value){false, 0, nvml_reason(result)};
}

static struct nvml_value number(number_function *function, device_t device, double scale)
{
    unsigned value = 0;
    int result = function ? function(device, &value) : NVML_NO_FUNCTION;
    return value_of(result, value * scale);
}

static struct nvml_value kind_number(int (*function)(device_t, int, unsigned *), device_t device,
                                     int kind)
{
    unsigned value = 0;
    int result = function ? function(device, kind, &value) : NVML_NO_FUNCTION;
    return value_of(result, value);
}

static struct nvml_value wide_number(int (*function)(device_t, unsigned long long *),
                                     device_t device, double scale)
{
    unsigned long long value = 0;
    int result = function ? function(device, &value) : NVML_NO_FUNCTION;
    return value_of(result, (double)value * scale);
}

/* A mode with its state now and after the next restart. */
static struct nvml_value mode(int (*function)(device_t, unsigned *, unsigned *), device_t device)
{
    unsigned now = 0, later = 0;
    int result = function ? function(device, &now, &later) : NVML_NO_FUNCTION;
    return value_of(result, now);
}

struct nvml_value nvml_used_bytes(const struct nvml *nvml, struct nvml_device *device)
{
    struct memory_info info = {0};
    int result = nvml->memory ? nvml->memory(device, &info) : NVML_NO_FUNCTION;
    return value_of(result, (double)info.used);
}

struct nvml_value nvml_energy_j(const struct nvml *nvml, struct nvml_device *device)
{
    return wide_number(nvml->energy, device, 1e-3);
}

struct nvml_value nvml_held_back_s(const struct nvml *nvml, struct nvml_device *device,
                                   enum nvml_policy policy)
{
    struct violation violation = {0};
    int result =
        nvml->violation ? nvml->violation(device, (int)policy, &violation) : NVML_NO_FUNCTION;
    return value_of(result, (double)violation.held_back_ns * 1e-9);
}

void nvml_sample_read(const struct nvml *nvml, struct nvml_device *device,
                      struct nvml_sample *sample)
{
    struct utilization busy = {0};
    sample->stamp_ns = clock_now_ns();
    sample->energy_j = nvml_energy_j(nvml, device);
    sample->power_w = number(nvml->power, device, 1e-3);
    sample->throttle = wide_number(nvml->throttle, device, 1);
    sample->sm_mhz = kind_number(nvml->clock, device, CLOCK_SM);
    sample->memory_mhz = kind_number(nvml->clock, device, CLOCK_MEMORY);
    sample->temperature_c = kind_number(nvml->temperature, device, SENSOR_GPU);
    sample->used_bytes = nvml_used_bytes(nvml, device);
    int result = nvml->utilization ? nvml->utilization(device, &busy) : NVML_NO_FUNCTION;
    sample->busy_percent = value_of(result, busy.gpu);
}

/* nvmlPciInfo_t of version 3 ends with the address as text; "00000000:01:00.0". */
static void pci_read(const struct nvml *nvml, device_t device, char *text, size_t size)
{
    struct {
        char legacy[16];
        unsigned domain, bus, device, id, subsystem;
        char address[32], spare[64];
    } info = {0};
    if (nvml->pci && nvml->pci(device, &info) == NVML_OK)
        snprintf(text, size, "%.31s", info.address);
}

void nvml_facts_read(const struct nvml *nvml, struct nvml_device *device, struct nvml_facts *facts)
{
    int cuda = 0, major = 0, minor = 0;
    struct memory_info memory = {0};
    *facts = (struct nvml_facts){0};
    if (nvml->name && nvml->name(device, facts->name, sizeof facts->name) != NVML_OK)
        facts->name[0] = '\0';
    if (nvml->uuid && nvml->uuid(device, facts->uuid, sizeof facts->uuid) != NVML_OK)
        facts->uuid[0] = '\0';
    if (nvml->driver_version &&
        nvml->driver_version(facts->driver, sizeof facts->driver) != NVML_OK)
        facts->driver[0] = '\0';
    pci_read(nvml, device, facts->pci, sizeof facts->pci);
    int result = nvml->cuda_version ? nvml->cuda_version(&cuda) : NVML_NO_FUNCTION;
    facts->cuda_version = value_of(result, cuda);
    result = nvml->memory ? nvml->memory(device, &memory) : NVML_NO_FUNCTION;
    facts->total_bytes = value_of(result, (double)memory.total);
    result = nvml->compute ? nvml->compute(device, &major, &minor) : NVML_NO_FUNCTION;
    facts->compute_major = value_of(result, major);
    facts->compute_minor = value_of(result, minor);
    facts->sm_max_mhz = kind_number(nvml->clock_max, device, CLOCK_SM);
    facts->memory_max_mhz = kind_number(nvml->clock_max, device, CLOCK_MEMORY);
    facts->power_limit_w = number(nvml->power_limit, device, 1e-3);
    facts->persistence = number(nvml->persistence, device, 1);
    facts->pcie_generation = number(nvml->pcie_generation, device, 1);
    facts->pcie_generation_max = number(nvml->pcie_generation_max, device, 1);
    facts->pcie_width = number(nvml->pcie_width, device, 1);
    facts->ecc = mode(nvml->ecc, device);
    facts->mig = mode(nvml->mig, device);
}

void nvml_throttle_text(uint64_t throttle, char *text, size_t size)
{
    static const struct {
        enum nvml_throttle bit;
        const char *name;
    } names[] = {{NVML_THROTTLE_POWER_CAP, "power cap"},
                 {NVML_THROTTLE_HARDWARE, "hardware slowdown"},
                 {NVML_THROTTLE_THERMAL, "thermal"},
                 {NVML_THROTTLE_THERMAL_HARDWARE, "thermal (hardware)"},
                 {NVML_THROTTLE_POWER_BRAKE, "power brake"}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(throttle & names[i].bit) || used >= size)
            continue;
        int length = snprintf(text + used, size - used, "%s%s", used ? ", " : "", names[i].name);
        used += (size_t)length;
    }
}
