/* src/machine/energy on copies of the kernel's powercap temporary_folder, and what a process's
 * metrics make of its readings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/file.h"
#include "bench/metrics.h"
#include "machine/energy.h"

static void put(const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "class/powercap/%s", name);
    temporary_put(path, text);
}

static void zone(const char *zone_name, const char *name, const char *energy_uj)
{
    char path[128];
    snprintf(path, sizeof path, "%s/name", zone_name);
    put(path, name);
    snprintf(path, sizeof path, "%s/energy_uj", zone_name);
    put(path, energy_uj);
    snprintf(path, sizeof path, "%s/max_energy_range_uj", zone_name);
    put(path, "1000000000\n");
}

/* Packages and memory add up; parts of a package and the whole board do not count twice; a counter
 * that has wrapped goes on. */
static void counters_add_up(void **state)
{
    (void)state;
    struct energy *energy;
    struct error err;
    zone("intel-rapl:0", "package-0\n", "5000000\n");
    zone("intel-rapl:0:0", "core\n", "1\n");
    zone("intel-rapl:0:1", "dram\n", "999000000\n");
    zone("intel-rapl:1", "psys\n", "1\n");
    zone("intel-rapl-mmio:0", "package-0\n", "1\n");
    assert_int_equal(energy_open(&energy, temporary_folder, "", &err), STATUS_OK);
    assert_non_null(strstr(energy_source(energy), "package-0"));
    assert_non_null(strstr(energy_source(energy), "dram"));
    assert_null(strstr(energy_source(energy), "psys"));
    double before = energy_joules(energy);
    put("intel-rapl:0/energy_uj", "8000000\n");
    put("intel-rapl:0:0/energy_uj", "90000000\n");
    put("intel-rapl:0:1/energy_uj", "1000000\n");
    assert_true(fabs(energy_joules(energy) - before - (3 + 2)) < 1e-9);
    put("intel-rapl:0/energy_uj", "");
    assert_true(isnan(energy_joules(energy)));
    energy_close(energy);
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    struct energy *energy;
    struct error err;
    assert_int_equal(energy_open(&energy, "/nowhere", "", &err), STATUS_UNSUPPORTED);
    assert_null(energy);
    assert_non_null(strstr(err.what, "no energy counters"));
    if (geteuid() == 0)
        return; /* root reads everything */
    char path[512];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:0%s/energy_uj", temporary_folder,
                 i ? ":1" : "");
        assert_int_equal(chmod(path, 0), 0);
    }
    assert_int_equal(energy_open(&energy, temporary_folder, "", &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.remedy, "chmod"));
}

/* 20 counted steps took 10 J in 0.5 s, of which 8 W are idle: 0.3 J each. */
static void idle_power_is_subtracted(void **state)
{
    (void)state;
    int64_t stamps[29];
    int32_t ids[29] = {0};
    struct record_reading readings[] = {
        {"energy_j", 10}, {"energy_s", 0.5}, {"energy_step_s", 0.02}, {"idle_w", 8}};
    struct record_process process = {.stamps_ns = stamps,
                                     .ids = ids,
                                     .token_count = 29,
                                     .warmup_steps = 8,
                                     .readings = readings,
                                     .reading_count = 4,
                                     .device_peak = -1,
                                     .memory_peak = -1};
    double values[METRIC_COUNT];
    for (int i = 0; i < 29; i++)
        stamps[i] = (i + 1) * INT64_C(25000000);
    process_metrics(&process, values);
    assert_true(fabs(values[METRIC_ENERGY] - 0.3) < 1e-12);
    assert_true(values[METRIC_IDLE_POWER] == 8);
    readings[2].value = 0.03; /* 17 renewals are too few */
    process_metrics(&process, values);
    assert_true(isnan(values[METRIC_ENERGY]) && values[METRIC_IDLE_POWER] == 8);
    readings[2].name = "unknown"; /* of an older run: as coarse as a GPU's */
    process_metrics(&process, values);
    assert_true(isnan(values[METRIC_ENERGY]));
    readings[1].value = 2;
    process_metrics(&process, values);
    assert_true(!isnan(values[METRIC_ENERGY]));
    process.reading_count = 0; /* never 0 */
    process_metrics(&process, values);
    assert_true(isnan(values[METRIC_ENERGY]) && isnan(values[METRIC_IDLE_POWER]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_add_up),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(idle_power_is_subtracted),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
