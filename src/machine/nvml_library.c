#include "machine/nvml_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

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

const char *nvml_reason(int result)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].result == result)
            return reasons[i].why;
    return "the NVIDIA driver refused to tell it";
}

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
    ROW(uses, "nvmlDeviceGetProcessUtilization", NULL),
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
    error_set(err, STATUS_UNSUPPORTED, "%s: %s", what, nvml_reason(result));
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
