#include "machine/nvml.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* nvmlReturn_t, and what it means for a reader of "not available: ". */
enum { NVML_OK = 0, NVML_NOT_FOUND = 6, NVML_SMALL = 7, NVML_NO_FUNCTION = 13 };

static const struct {
    int result;
    const char *why;
} reasons[] = {
    {3, "this card does not tell it"},
    {4, "no permission to ask the driver"},
    {NVML_NOT_FOUND, "there is no such card"},
    {9, "the NVIDIA driver is not loaded"},
    {12, "a part of the NVIDIA driver is missing"},
    {NVML_NO_FUNCTION, "the NVIDIA driver is too old to tell it"},
    {15, "the card is lost: it has fallen off the bus"},
    {16, "the card must be reset"},
    {17, "the system does not let the card be asked"},
    {18, "the NVIDIA driver was updated: restart the machine"},
    {19, "the card is in use"},
    {21, "the driver has no data yet"},
};

static const char *reason(int result)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].result == result)
            return reasons[i].why;
    return "the NVIDIA driver refused to tell it";
}

struct memory_info { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct process_info { /* nvmlProcessInfo_t of versions 2 and 3 */
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
};

struct utilization { /* nvmlUtilization_t */
    unsigned gpu, memory;
};

struct violation { /* nvmlViolationTime_t */
    unsigned long long reference_us, held_back_ns;
};

enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, SENSOR_GPU = 0 };

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

/* The newer name of a function first. */
static const struct {
    size_t offset;
    const char *symbol, *older;
} functions[] = {
#define ROW(member, symbol, older)                                                                 \
    {                                                                                              \
        offsetof(struct nvml, member), symbol, older                                               \
    }
    ROW(init, "nvmlInit_v2", NULL),
    ROW(shutdown, "nvmlShutdown", NULL),
    ROW(driver_version, "nvmlSystemGetDriverVersion", NULL),
    ROW(cuda_version, "nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"),
    ROW(count, "nvmlDeviceGetCount_v2", NULL),
    ROW(by_index, "nvmlDeviceGetHandleByIndex_v2", NULL),
    ROW(by_pci, "nvmlDeviceGetHandleByPciBusId_v2", NULL),
    ROW(name, "nvmlDeviceGetName", NULL),
    ROW(uuid, "nvmlDeviceGetUUID", NULL),
    ROW(pci, "nvmlDeviceGetPciInfo_v3", NULL),
    ROW(memory, "nvmlDeviceGetMemoryInfo", NULL),
    ROW(processes, "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetComputeRunningProcesses_v2"),
    ROW(clock, "nvmlDeviceGetClockInfo", NULL),
    ROW(clock_max, "nvmlDeviceGetMaxClockInfo", NULL),
    ROW(temperature, "nvmlDeviceGetTemperature", NULL),
    ROW(utilization, "nvmlDeviceGetUtilizationRates", NULL),
    ROW(power, "nvmlDeviceGetPowerUsage", NULL),
    ROW(power_limit, "nvmlDeviceGetEnforcedPowerLimit", NULL),
    ROW(persistence, "nvmlDeviceGetPersistenceMode", NULL),
    ROW(pcie_generation, "nvmlDeviceGetCurrPcieLinkGeneration", NULL),
    ROW(pcie_generation_max, "nvmlDeviceGetMaxPcieLinkGeneration", NULL),
    ROW(pcie_width, "nvmlDeviceGetCurrPcieLinkWidth", NULL),
    ROW(throttle, "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons"),
    ROW(energy, "nvmlDeviceGetTotalEnergyConsumption", NULL),
    ROW(violation, "nvmlDeviceGetViolationStatus", NULL),
    ROW(ecc, "nvmlDeviceGetEccMode", NULL),
    ROW(mig, "nvmlDeviceGetMigMode", NULL),
    ROW(compute, "nvmlDeviceGetCudaComputeCapability", NULL),
#undef ROW
};

static void functions_find(struct nvml *nvml)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *address = dlsym(nvml->library, functions[i].symbol);
        if (!address && functions[i].older)
            address = dlsym(nvml->library, functions[i].older);
        memcpy((char *)nvml + functions[i].offset, &address, sizeof address);
    }
}

static enum status refused(int result, struct error *err, const char *what)
{
    error_set(err, STATUS_UNSUPPORTED, "%s: %s", what, reason(result));
    return error_remedy(err, "See whether nvidia-smi works.");
}

enum status nvml_open(struct nvml **opened, struct error *err)
{
    struct nvml *nvml = calloc(1, sizeof *nvml);
    *opened = NULL;
    if (!nvml)
        return error_no_memory(err, sizeof *nvml);
    nvml->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml->library) {
        const char *why = dlerror();
        free(nvml);
        error_set(err, STATUS_UNSUPPORTED, "there is no NVIDIA driver");
        return error_where(err, "%s", why ? why : "libnvidia-ml.so.1");
    }
    functions_find(nvml);
    bool usable = nvml->init && nvml->shutdown && nvml->count && nvml->by_index && nvml->by_pci;
    int result = usable ? nvml->init() : NVML_NO_FUNCTION;
    if (result != NVML_OK) {
        dlclose(nvml->library);
        free(nvml);
        return refused(result, err, "NVIDIA's management library does not start");
    }
    *opened = nvml;
    return STATUS_OK;
}

void nvml_close(struct nvml *nvml)
{
    if (!nvml)
        return;
    nvml->shutdown();
    dlclose(nvml->library);
    free(nvml);
}

uint32_t nvml_count(const struct nvml *nvml)
{
    unsigned count = 0;
    return nvml->count(&count) == NVML_OK ? count : 0;
}

enum status nvml_device_at(const struct nvml *nvml, uint32_t index, struct nvml_device **device,
                           struct error *err)
{
    int result = nvml->by_index(index, device);
    return result == NVML_OK ? STATUS_OK : refused(result, err, "the card cannot be asked");
}

enum status nvml_device_by_pci(const struct nvml *nvml, const char *pci,
                               struct nvml_device **device, struct error *err)
{
    int result = nvml->by_pci(pci, device);
    if (result == NVML_OK)
        return STATUS_OK;
    refused(result, err, "the card cannot be asked");
    return error_where(err, "%s", pci);
}

enum status nvml_open_card(struct nvml **nvml, const char *pci, struct nvml_device **device,
                           struct error *err)
{
    enum status status = nvml_open(nvml, err);
    if (!*nvml)
        return status;
    status = nvml_device_by_pci(*nvml, pci, device, err);
    if (status) {
        nvml_close(*nvml);
        *nvml = NULL;
    }
    return status;
}

static struct nvml_value value_of(int result, double value)
{
    return result == NVML_OK ? (struct nvml_value){true, value, NULL}
                             : (struct nvml_value){false, 0, reason(result)};
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

void nvml_processes_read(const struct nvml *nvml, struct nvml_device *device,
                         struct nvml_processes *processes)
{
    static const unsigned long long unknown = ~0ULL;
    struct process_info list[NVML_PROCESSES] = {0};
    unsigned count = NVML_PROCESSES;
    processes->count = 0;
    int result = nvml->processes ? nvml->processes(device, &count, list) : NVML_NO_FUNCTION;
    processes->why = result == NVML_OK      ? NULL
                     : result == NVML_SMALL ? "too many processes use the card"
                                            : reason(result);
    for (unsigned i = 0; i < count && i < NVML_PROCESSES && !processes->why; i++) {
        processes->list[i].pid = (pid_t)list[i].pid;
        processes->list[i].bytes = list[i].bytes == unknown ? -1 : (int64_t)list[i].bytes;
        processes->count = i + 1;
    }
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
