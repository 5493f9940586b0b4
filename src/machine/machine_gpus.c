/* The GPUs in a run's manifest. */
#include "machine/machine.h"
#include "machine/nvml.h"

static void value_set(json_t *object, const char *key, struct nvml_value value)
{
    json_object_set_new(object, key,
                        value.known ? json_real(value.value)
                                    : json_sprintf("not available: %s", value.why));
}

static json_t *gpu_describe(const struct nvml *nvml, struct nvml_device *device)
{
    struct nvml_facts facts;
    struct nvml_sample sample;
    nvml_facts_read(nvml, device, &facts);
    nvml_sample_read(nvml, device, &sample);
    const struct {
        const char *key;
        struct nvml_value value;
    } values[] = {{"cuda_version", facts.cuda_version},
                  {"compute_major", facts.compute_major},
                  {"compute_minor", facts.compute_minor},
                  {"total_bytes", facts.total_bytes},
                  {"used_bytes", sample.used_bytes},
                  {"sm_mhz", sample.sm_mhz},
                  {"sm_max_mhz", facts.sm_max_mhz},
                  {"memory_mhz", sample.memory_mhz},
                  {"memory_max_mhz", facts.memory_max_mhz},
                  {"power_limit_w", facts.power_limit_w},
                  {"power_w", sample.power_w},
                  {"temperature_c", sample.temperature_c},
                  {"ecc", facts.ecc},
                  {"mig", facts.mig},
                  {"persistence", facts.persistence},
                  {"pcie_generation", facts.pcie_generation},
                  {"pcie_generation_max", facts.pcie_generation_max},
                  {"pcie_width", facts.pcie_width}};
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "name", facts.name, "pci", facts.pci, "driver", facts.driver);
    for (size_t i = 0; object && i < sizeof values / sizeof values[0]; i++)
        value_set(object, values[i].key, values[i].value);
    return object;
}

json_t *machine_describe_gpus(void)
{
    json_t *list = json_array();
    struct nvml_device *device;
    struct nvml *nvml;
    struct error ignored;
    if (nvml_open(&nvml, &ignored))
        return list;
    for (uint32_t i = 0; i < nvml_count(nvml); i++)
        if (!nvml_device_at(nvml, i, &device, &ignored))
            json_array_append_new(list, gpu_describe(nvml, device));
    nvml_close(nvml);
    return list;
}
