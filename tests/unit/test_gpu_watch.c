/* src/machine/gpu_watch and the energy counter of a GPU, with a library that the tests made
 * (tests/fake/libnvidia-ml.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/readings.h"
#include "machine/energy.h"
#include "machine/gpu_watch.h"
#include "machine/nvml.h"

static const char CARD[] = "0000:01:00.0";

/* A library that is loaded is found by its name, wherever it is. */
static int load(void **state)
{
    *state = dlopen(BUILD_FOLDER "/tests/fake/libnvidia-ml.so.1", RTLD_NOW);
    return *state ? 0 : -1;
}

static int unload(void **state)
{
    return dlclose(*state);
}

static void say(const char *settings)
{
    setenv("FAKE_NVML", settings, 1);
}

static struct gpu_watch *opened(const char *settings)
{
    struct gpu_watch *watch;
    struct error err;
    say(settings);
    assert_int_equal(gpu_watch_open(&watch, CARD, &err), STATUS_OK);
    return watch;
}

/* What disturbed a process that a watch reported of; "" for nothing. */
static const char *words_of(const struct gpu_watch_report *report, struct arena *arena)
{
    struct record_process process = {0};
    readings_add_gpu(&process, report, arena);
    const char *what = disturbance_of(&process, &(struct clocks){.gpu_hz = 1.98e9}, arena);
    return what ? what : "";
}

static void a_quiet_card(void **state)
{
    (void)state;
    struct gpu_watch_report report;
    struct arena arena = {0};
    struct gpu_watch *watch = opened("clock=1979 throttle=1");
    gpu_watch_begin(watch, getpid());
    gpu_watch_end(watch, getpid());
    gpu_watch_close(watch, &report);
    assert_true(report.foreign == 0 && report.throttle == 1);
    assert_true(report.thermal_share == 0 && report.power_share == 0);
    assert_true(report.clock_hz == 1980e6); /* the kind's number is added */
    assert_string_equal(words_of(&report, &arena), "");
    arena_free(&arena);
}

static void what_slows_it_down(void **state)
{
    (void)state;
    struct gpu_watch_report report;
    struct arena arena = {0};
    struct gpu_watch *watch = opened("clock=1979");
    gpu_watch_begin(watch, getpid());
    say("clock=1199 throttle=68 heat=50000000"); /* at its limits of heat and power */
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    gpu_watch_end(watch, getpid());
    gpu_watch_close(watch, &report);
    assert_true(report.clock_hz == 1200e6);
    assert_true(report.throttle == (1 | 68));
    assert_true(report.thermal_share > 0 && report.power_share == 0);
    const char *words = words_of(&report, &arena);
    assert_non_null(strstr(words, "the GPU slowed down (thermal (hardware))"));
    assert_non_null(strstr(words, "held back for its heat"));
    assert_non_null(strstr(words, "the GPU's clock was 1.20 GHz after 1.98"));
    arena_free(&arena);
}

static pid_t worker_fork(void)
{
    pid_t worker = fork();
    if (worker == 0) {
        pause();
        _exit(0);
    }
    return worker;
}

static void worker_end(pid_t worker)
{
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
}

/* Who is there before the worker, or beside it, or after it. */
static void others_on_the_card(void **state)
{
    (void)state;
    struct gpu_watch_report report;
    struct arena arena = {0};
    gpu_watch_close(opened("pid=4711 bytes=1000"), &report);
    assert_true(report.foreign == 1);
    assert_string_equal(words_of(&report, &arena), "1 other program was on the GPU");
    pid_t worker = worker_fork();
    struct gpu_watch *watch = opened("");
    gpu_watch_begin(watch, worker);
    say("tree=1 pid=4711 bytes=1000");
    gpu_watch_end(watch, worker);
    say("");
    gpu_watch_close(watch, &report);
    assert_true(report.foreign == 1);
    /* A list that does not show the worker, as in a container, says nothing of the others. */
    watch = opened("");
    gpu_watch_begin(watch, worker);
    say("pid=4711 bytes=1000");
    gpu_watch_end(watch, worker);
    say("");
    gpu_watch_close(watch, &report);
    assert_true(report.foreign == 0);
    worker_end(worker);
    arena_free(&arena);
}

/* A watch over a worker, of which the driver says this when it has ended. */
static double foreign_of(pid_t worker, time_t seconds, const char *settings)
{
    struct gpu_watch_report report;
    struct gpu_watch *watch = opened("");
    gpu_watch_begin(watch, worker);
    nanosleep(&(struct timespec){.tv_sec = seconds, .tv_nsec = 50000000}, NULL);
    say(settings);
    gpu_watch_end(watch, worker);
    gpu_watch_close(watch, &report);
    return report.foreign;
}

/* One that is listed at no look, and was at work in between. */
static void one_that_came_and_went(void **state)
{
    (void)state;
    pid_t worker = worker_fork();
    assert_true(foreign_of(worker, 1, "tree=1 user=4711") == 1);
    assert_true(foreign_of(worker, 1, "tree=1") == 0);
    /* Samples of the first second may be of what was before; those that do not show the worker
     * say nothing of the others. */
    assert_true(foreign_of(worker, 0, "tree=1 user=4711") == 0);
    assert_true(foreign_of(worker, 1, "user=4711") == 0);
    worker_end(worker);
}

static void what_is_not_told_disturbs_nobody(void **state)
{
    (void)state;
    struct gpu_watch_report report;
    struct arena arena = {0};
    struct error err;
    struct gpu_watch *watch =
        opened("nvmlDeviceGetComputeRunningProcesses_v3=4 nvmlDeviceGetClockInfo=3 "
               "nvmlDeviceGetCurrentClocksEventReasons=3 nvmlDeviceGetViolationStatus=3 "
               "nvmlDeviceGetProcessUtilization=3");
    gpu_watch_begin(watch, getpid());
    gpu_watch_end(watch, getpid());
    gpu_watch_close(watch, &report);
    assert_true(isnan(report.foreign) && isnan(report.throttle) && isnan(report.clock_hz));
    assert_true(isnan(report.thermal_share) && isnan(report.power_share));
    assert_string_equal(words_of(&report, &arena), "");
    gpu_watch_close(opened(""), &report); /* a worker that did not get to its tokens */
    assert_true(report.foreign == 0 && isnan(report.throttle) && isnan(report.clock_hz));
    gpu_watch_close(NULL, &report);
    assert_true(isnan(report.foreign));
    say("nvmlInit_v2=9");
    assert_int_equal(gpu_watch_open(&watch, CARD, &err), STATUS_UNSUPPORTED);
    arena_free(&arena);
}

/* A counter that moves every 50 ms: what lies between two moments is exact all the same. */
static void energy_between_renewals(void **state)
{
    (void)state;
    struct energy *energy;
    struct error err;
    say("power=300 step=50");
    assert_int_equal(energy_open(&energy, "/sys", CARD, &err), STATUS_OK);
    struct energy_idle idle = energy_idle(energy, 200);
    assert_true(fabs(idle.watts / 300 - 1) < 0.05);
    assert_true(fabs(idle.step_s / 0.05 - 1) < 0.1);
    struct energy_moment from = energy_moment(energy);
    nanosleep(&(struct timespec){.tv_nsec = 70000000}, NULL);
    struct energy_moment to = energy_moment(energy);
    double seconds = (double)(to.stamp_ns - from.stamp_ns) * 1e-9;
    assert_true(fabs((to.joules - from.joules) / seconds / 300 - 1) < 0.05);
    say("power=0");
    assert_true(isnan(energy_moment(energy).joules));
    assert_true(isnan(energy_idle(energy, 10).watts));
    energy_close(energy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_card),
        cmocka_unit_test(what_slows_it_down),
        cmocka_unit_test(others_on_the_card),
        cmocka_unit_test(one_that_came_and_went),
        cmocka_unit_test(what_is_not_told_disturbs_nobody),
        cmocka_unit_test(energy_between_renewals),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
