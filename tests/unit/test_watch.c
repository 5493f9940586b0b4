/* src/machine/watch and what bench/readings makes of it: the machine's own counters, and copies of
 * the kernel's files that say what no test machine can be made to say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/clock.h"
#include "base/file.h"
#include "bench/readings.h"
#include "machine/watch.h"

static struct watch_roots copies(char *proc, char *sys, size_t size)
{
    snprintf(proc, size, "%s/proc", temporary_folder);
    snprintf(sys, size, "%s/sys", temporary_folder);
    return (struct watch_roots){proc, sys};
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void spin_ms(int64_t ms)
{
    int64_t end_ns = clock_now_ns() + ms * 1000000;
    while (clock_now_ns() < end_ns) {
    }
}

/* Every kind of counter, as the kernel writes it. */
static void counters_are_read(void **state)
{
    (void)state;
    char proc[256], sys[256];
    struct watch_roots roots = copies(proc, sys, sizeof proc);
    struct watch *watch;
    struct watch_report report;
    struct error err;
    temporary_put("proc/stat", "cpu  1 2 3 4\ncpu0 10 0 10 1000 0 0 0 5 0 0\nintr 1\n");
    temporary_put("proc/vmstat", "nr_free_pages 1\npswpin 10\npswpout 20\n");
    temporary_put("proc/self/cgroup", "0::/user/me\n");
    temporary_put("sys/fs/cgroup/user/me/cpu.stat", "usage_usec 5\nthrottled_usec 1000\n");
    temporary_put("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3\n");
    temporary_put("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "4\n");
    temporary_put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2500000\n");
    assert_int_equal(watch_start(&watch, &roots, &err), STATUS_OK);
    sleep_ms(20);
    temporary_put("proc/vmstat", "nr_free_pages 1\npswpin 11\npswpout 22\n");
    temporary_put("sys/fs/cgroup/user/me/cpu.stat", "usage_usec 5\nthrottled_usec 5000\n");
    temporary_put("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "6\n");
    temporary_put("proc/stat", "cpu0 10 0 10 1000 0 0 0 6 0 0\n");
    watch_end(watch, &report);
    assert_true(report.seconds >= 0.02);
    assert_true(report.swapped_bytes == 3.0 * (double)sysconf(_SC_PAGESIZE));
    assert_true(fabs(report.throttled_share * report.seconds - 0.004) < 1e-9);
    assert_true(report.thermal_events == 2);
    assert_true(report.clock_hz == 2.5e9);
    assert_true(report.steal_share > 0);
    /* No processor was idle, and it was not this process that kept them busy. */
    assert_true(report.foreign_seconds > 0);
}

/* Version 1 of control groups; and a container that shows no more than its own root. */
static void throttling_of_other_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *cgroup, *file, *before, *after;
    } kinds[] = {
        {"7:freezer:/\n4:cpu,cpuacct:/mine\n", "sys/fs/cgroup/cpu/mine/cpu.stat",
         "throttled_time 0\n", "throttled_time 4000000\n"},
        {"0::/not/visible\n", "sys/fs/cgroup/cpu.stat", "throttled_usec 0\n",
         "throttled_usec 4000\n"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char proc[256], sys[256];
        struct watch_roots roots = copies(proc, sys, sizeof proc);
        struct watch *watch;
        struct watch_report report;
        struct error err;
        temporary_put("proc/self/cgroup", kinds[i].cgroup);
        temporary_put(kinds[i].file, kinds[i].before);
        assert_int_equal(watch_start(&watch, &roots, &err), STATUS_OK);
        sleep_ms(1);
        temporary_put(kinds[i].file, kinds[i].after);
        watch_end(watch, &report);
        assert_true(fabs(report.throttled_share * report.seconds - 0.004) < 1e-9);
    }
}

/* A machine that shows nothing is known nothing of, which is no disturbance. */
static void nothing_is_shown(void **state)
{
    (void)state;
    struct watch_roots roots = {"/nowhere", "/nowhere"};
    struct watch *watch;
    struct watch_report report;
    struct record_process process = {0};
    struct arena arena = {0};
    struct error err;
    assert_int_equal(watch_start(&watch, &roots, &err), STATUS_OK);
    watch_end(watch, &report);
    assert_true(isnan(report.foreign_cores) && isnan(report.steal_share));
    assert_true(isnan(report.throttled_share) && isnan(report.swapped_bytes));
    assert_true(isnan(report.thermal_events) && isnan(report.clock_hz));
    readings_add_watch(&process, &report, &arena);
    assert_int_equal(process.reading_count, 0);
    assert_null(disturbance_of(&process, &(struct clocks){0}, &arena));
    arena_free(&arena);
}

/* Work of a child that was reaped is ours; that of a process which is no child of ours is not. The
 * machine may be busy anyway, so what is compared is what the two add. */
static double foreign_while_spinning(bool ours)
{
    struct watch *watch;
    struct watch_report report;
    struct error err;
    int pipes[2];
    char byte;
    assert_int_equal(watch_start(&watch, NULL, &err), STATUS_OK);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        if (!ours && fork() != 0)
            _exit(0); /* the grandchild belongs to init now */
        spin_ms(500);
        _exit(write(pipes[1], "x", 1) != 1);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    watch_end(watch, &report);
    return report.foreign_seconds;
}

static void foreign_work_is_seen(void **state)
{
    (void)state;
    /* At least what the spinner got of half a second; a loaded machine gave it less. */
    assert_true(foreign_while_spinning(false) > 0.05);
    assert_true(foreign_while_spinning(true) >= 0);
}

static void disturbances_are_named(void **state)
{
    (void)state;
    static const struct {
        struct record_reading readings[2];
        const char *named; /* NULL: nothing disturbed */
    } cases[] = {
        {{{"foreign_cores", 0.98}, {"foreign_s", 2}}, "other programs used 0.98 cores"},
        {{{"foreign_cores", 0.98}, {"foreign_s", 0.05}}, NULL},
        {{{"foreign_cores", 0.09}, {"foreign_s", 9}}, NULL},
        {{{"steal_share", 0.25}}, "the hypervisor took 25 %"},
        {{{"steal_share", 0.05}}, NULL},
        {{{"throttled_share", 0.5}}, "held back for 50 %"},
        {{{"swapped_bytes", 50e6}}, "50 MB were swapped"},
        {{{"swapped_bytes", 8192}}, NULL},
        {{{"thermal_events", 1}}, "for its heat"},
        {{{"clock_hz", 2.1e9}}, "2.10 GHz after 3.00"},
        {{{"clock_hz", 2.9e9}}, NULL},
        {{{"steal_share", 0.25}, {"thermal_events", 1}}, "time, a processor"},
        {{{"gpu_foreign", 1}}, "1 other program was on the GPU"},
        {{{"gpu_foreign", 2}}, "2 other programs were on the GPU"},
        {{{"gpu_foreign", 0}}, NULL},
        {{{"gpu_throttle", 0x20}}, "the GPU slowed down (thermal)"},
        {{{"gpu_throttle", 0x88}}, "the GPU slowed down (hardware slowdown, power brake)"},
        {{{"gpu_throttle", 0x5}}, NULL}, /* idle, and at its power limit */
        {{{"gpu_thermal_share", 0.1}}, "for its heat for 10 % of the time"},
        {{{"gpu_power_share", 0.9}}, NULL},
        {{{"gpu_clock_hz", 1.4e9}}, "the GPU's clock was 1.40 GHz after 1.98"},
        {{{"gpu_clock_hz", 1.9e9}}, NULL},
    };
    const struct clocks fastest = {.cpu_hz = 3e9, .gpu_hz = 1.98e9};
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record_reading readings[2];
        struct record_process process = {.readings = readings};
        for (; process.reading_count < 2 && cases[i].readings[process.reading_count].name;
             process.reading_count++)
            readings[process.reading_count] = cases[i].readings[process.reading_count];
        const char *what = disturbance_of(&process, &fastest, &arena);
        if (!cases[i].named)
            assert_null(what);
        else
            assert_non_null(strstr(what ? what : "", cases[i].named));
    }
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_read),      cmocka_unit_test(throttling_of_other_kinds),
        cmocka_unit_test(nothing_is_shown),       cmocka_unit_test(foreign_work_is_seen),
        cmocka_unit_test(disturbances_are_named),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
