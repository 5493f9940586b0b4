/* src/machine/nvml.c with a library that the tests made (tests/fake/libnvidia-ml.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine/free_memory.h"
#include "machine/machine.h"
#include "machine/nvml.h"

/* A library that is loaded is found by its name, wherever it is. */
static void *library_load(const char *path, const char *settings)
{
    void *library = dlopen(path, RTLD_NOW);
    assert_non_null(library);
    setenv("FAKE_NVML", settings, 1);
    return library;
}

static void *fake(const char *settings)
{
    return library_load(BUILD_FOLDER "/tests/fake/libnvidia-ml.so.1", settings);
}

static struct nvml *open_card(struct nvml_device **device)
{
    struct nvml *nvml;
    struct error err;
    assert_int_equal(nvml_open(&nvml, &err), STATUS_OK);
    assert_int_equal(nvml_count(nvml), 1);
    assert_int_equal(nvml_device_by_pci(nvml, "0000:01:00.0", device, &err), STATUS_OK);
    return nvml;
}

static void is(struct nvml_value value, double expected)
{
    assert_true(value.known);
    assert_null(value.why);
    assert_float_equal(value.value, expected, 1e-6);
}

static void is_not_known(struct nvml_value value, const char *why)
{
    assert_false(value.known);
    assert_string_equal(value.why, why);
}

static void facts(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_facts facts;
    void *library = fake("");
    struct nvml *nvml = open_card(&device);
    nvml_facts_read(nvml, device, &facts);
    assert_string_equal(facts.name, "Fake GPU");
    assert_string_equal(facts.pci, "00000000:01:00.0");
    assert_string_equal(facts.uuid, "GPU-0");
    assert_string_equal(facts.driver, "580.1");
    is(facts.cuda_version, 13000);
    is(facts.total_bytes, 1 << 30);
    is(facts.sm_max_mhz, 2001);
    is(facts.memory_max_mhz, 2002);
    is(facts.power_limit_w, 700);
    is(facts.ecc, 1);
    is(facts.mig, 0);
    is(facts.persistence, 1);
    is(facts.pcie_generation, 4);
    is(facts.pcie_generation_max, 5);
    is(facts.pcie_width, 16);
    is(facts.compute_major, 9);
    nvml_close(nvml);
    dlclose(library);
}

static void sample(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_sample sample;
    void *library = fake("used=123456789 throttle=36");
    struct nvml *nvml = open_card(&device);
    nvml_sample_read(nvml, device, &sample);
    assert_true(sample.stamp_ns > 0);
    is(sample.used_bytes, 123456789);
    is(sample.power_w, 350.5);
    is(sample.temperature_c, 41);
    is(sample.sm_mhz, 1001);
    is(sample.memory_mhz, 1002);
    is(sample.energy_j, 1234.5);
    is(sample.busy_percent, 97);
    is(sample.throttle, NVML_THROTTLE_POWER_CAP | NVML_THROTTLE_THERMAL);
    nvml_close(nvml);
    dlclose(library);
}

static void throttle_words(void **state)
{
    (void)state;
    char text[64];
    nvml_throttle_text(NVML_THROTTLE_POWER_CAP | NVML_THROTTLE_THERMAL, text, sizeof text);
    assert_string_equal(text, "power cap, thermal");
    nvml_throttle_text(0x3, text, sizeof text); /* idle, and clocks that were set */
    assert_string_equal(text, "");
    nvml_throttle_text(~UINT64_C(0), text, 12);
    assert_string_equal(text, "power cap, ");
}

static void each_value_may_be_missing(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_sample sample;
    struct nvml_processes *processes = malloc(sizeof *processes);
    void *library = fake("nvmlDeviceGetPowerUsage=3 nvmlDeviceGetTotalEnergyConsumption=4 "
                         "nvmlDeviceGetTemperature=15 nvmlDeviceGetClockInfo=12345 "
                         "nvmlDeviceGetComputeRunningProcesses_v3=4");
    struct nvml *nvml = open_card(&device);
    nvml_sample_read(nvml, device, &sample);
    is_not_known(sample.power_w, "this card does not tell it");
    is_not_known(sample.energy_j, "no permission to ask the driver");
    is_not_known(sample.temperature_c, "the card is lost: it has fallen off the bus");
    is_not_known(sample.sm_mhz, "the NVIDIA driver refused to tell it");
    is(sample.used_bytes, 0);
    nvml_processes_read(nvml, device, processes);
    assert_string_equal(processes->why, "no permission to ask the driver");
    assert_int_equal(processes->count, 0);
    nvml_close(nvml);
    dlclose(library);
    free(processes);
}

static void processes(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_processes *processes = malloc(sizeof *processes);
    void *library = fake("pid=4711 bytes=1000000");
    struct nvml *nvml = open_card(&device);
    nvml_processes_read(nvml, device, processes);
    assert_null(processes->why);
    assert_int_equal(processes->count, 1);
    assert_int_equal(processes->list[0].pid, 4711);
    assert_int_equal(processes->list[0].bytes, 1000000);
    setenv("FAKE_NVML", "pid=4711 bytes=-1", 1); /* NVML_VALUE_NOT_AVAILABLE */
    nvml_processes_read(nvml, device, processes);
    assert_int_equal(processes->list[0].bytes, -1);
    setenv("FAKE_NVML", "", 1);
    nvml_processes_read(nvml, device, processes);
    assert_null(processes->why);
    assert_int_equal(processes->count, 0);
    nvml_close(nvml);
    dlclose(library);
    free(processes);
}

/* Samples that are empty, old or of one that is there already are no users. */
static void users(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_processes *users = malloc(sizeof *users);
    int64_t second_ago_us = ((int64_t)time(NULL) - 1) * 1000000;
    void *library = fake("user=4711");
    struct nvml *nvml = open_card(&device);
    nvml_users_read(nvml, device, second_ago_us, users);
    assert_null(users->why);
    assert_int_equal(users->count, 1);
    assert_int_equal(users->list[0].pid, 4711);
    nvml_users_read(nvml, device, second_ago_us - 10000000, users);
    assert_int_equal(users->count, 2);
    nvml_users_read(nvml, device, second_ago_us + 60000000, users);
    assert_null(users->why);
    assert_int_equal(users->count, 0);
    setenv("FAKE_NVML", "nvmlDeviceGetProcessUtilization=6", 1); /* there are no samples */
    nvml_users_read(nvml, device, 0, users);
    assert_null(users->why);
    assert_int_equal(users->count, 0);
    setenv("FAKE_NVML", "nvmlDeviceGetProcessUtilization=3", 1);
    nvml_users_read(nvml, device, 0, users);
    assert_string_equal(users->why, "this card does not tell it");
    nvml_close(nvml);
    dlclose(library);
    free(users);
}

static void old_driver(void **state)
{
    (void)state;
    struct nvml_device *device;
    struct nvml_sample sample;
    struct nvml_processes *processes = malloc(sizeof *processes);
    void *library = library_load(BUILD_FOLDER "/tests/fake/old/libnvidia-ml.so.1", "throttle=4");
    struct nvml *nvml = open_card(&device);
    nvml_sample_read(nvml, device, &sample);
    is(sample.throttle, NVML_THROTTLE_POWER_CAP); /* under its older name */
    nvml_processes_read(nvml, device, processes);
    assert_string_equal(processes->why, "the NVIDIA driver is too old to tell it");
    nvml_users_read(nvml, device, 0, processes);
    assert_string_equal(processes->why, "the NVIDIA driver is too old to tell it");
    nvml_close(nvml);
    dlclose(library);
    free(processes);
}

static void does_not_start(void **state)
{
    (void)state;
    struct nvml *nvml;
    struct nvml_device *device;
    struct error err;
    void *library = fake("nvmlInit_v2=18");
    assert_int_equal(nvml_open(&nvml, &err), STATUS_UNSUPPORTED);
    assert_null(nvml);
    assert_non_null(strstr(err.what, "was updated: restart the machine"));
    setenv("FAKE_NVML", "", 1);
    nvml = open_card(&device);
    assert_int_equal(nvml_device_by_pci(nvml, "0000:02:00.0", &device, &err), STATUS_UNSUPPORTED);
    assert_string_equal(err.where, "0000:02:00.0");
    assert_int_equal(nvml_device_at(nvml, 1, &device, &err), STATUS_UNSUPPORTED);
    nvml_close(nvml);
    dlclose(library);
}

static void manifest(void **state)
{
    (void)state;
    void *library = fake("nvmlDeviceGetEccMode=3");
    json_t *gpus = machine_describe_gpus(), *gpu = json_array_get(gpus, 0);
    assert_int_equal(json_array_size(gpus), 1);
    assert_string_equal(json_string_value(json_object_get(gpu, "name")), "Fake GPU");
    assert_float_equal(json_number_value(json_object_get(gpu, "power_limit_w")), 700, 1e-9);
    assert_string_equal(json_string_value(json_object_get(gpu, "ecc")),
                        "not available: this card does not tell it");
    json_decref(gpus);
    setenv("FAKE_NVML", "nvmlInit_v2=9", 1);
    gpus = machine_describe_gpus();
    assert_int_equal(json_array_size(gpus), 0);
    json_decref(gpus);
    dlclose(library);
}

/* What is not in use; nobody guesses where a card is missing, or does not tell. */
static void free_memory(void **state)
{
    (void)state;
    void *library = fake("used=1000000");
    struct free_memory card = free_memory_card("0000:01:00.0");
    assert_true(card.known);
    assert_int_equal(card.bytes, (1 << 30) - 1000000);
    assert_int_equal(free_memory_card_count(), 1);
    assert_int_equal(free_memory_cards(1).bytes, card.bytes);
    assert_false(free_memory_cards(2).known);
    assert_false(free_memory_card("0000:02:00.0").known);
    setenv("FAKE_NVML", "nvmlDeviceGetMemoryInfo=3", 1);
    assert_false(free_memory_card("0000:01:00.0").known);
    setenv("FAKE_NVML", "count=0", 1);
    assert_int_equal(free_memory_card_count(), 0);
    dlclose(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts),          cmocka_unit_test(sample),
        cmocka_unit_test(throttle_words), cmocka_unit_test(each_value_may_be_missing),
        cmocka_unit_test(processes),      cmocka_unit_test(users),
        cmocka_unit_test(old_driver),     cmocka_unit_test(does_not_start),
        cmocka_unit_test(manifest),       cmocka_unit_test(free_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
