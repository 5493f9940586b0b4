/* src/machine/device_memory.c with the tests' own NVML, which lists descendants of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/device_memory.h"

static const char CARD[] = "0000:01:00.0";

static int setup(void **state)
{
    *state = dlopen(BUILD_FOLDER "/tests/fake/libnvidia-ml.so.1", RTLD_NOW);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    return dlclose(*state);
}

static void settings(const char *words)
{
    setenv("FAKE_NVML", words, 1);
}

static pid_t sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Opens with base in use, notes the worker's start with before and its load with loaded, and ends
 * with last. */
static struct device_memory_result life(const char *base, const char *before, const char *loaded,
                                        const char *last)
{
    struct device_memory *memory;
    struct device_memory_result result;
    struct error err;
    settings(base);
    assert_int_equal(device_memory_open(&memory, CARD, &err), STATUS_OK);
    pid_t worker = sleeper();
    settings(before);
    assert_int_equal(device_memory_watch(memory, worker, &err), STATUS_OK);
    device_memory_note(memory, DEVICE_MEMORY_BEFORE);
    device_memory_pause(memory);
    settings(loaded);
    device_memory_note(memory, DEVICE_MEMORY_LOADED);
    settings(last);
    device_memory_end(memory, &result);
    device_memory_close(memory);
    end(worker);
    return result;
}

static void own_memory_where_it_is_listed(void **state)
{
    (void)state;
    struct device_memory_result result =
        life("used=500", "used=500", "used=500 tree=1000", "used=9000 tree=700");
    assert_int_equal(result.before, 0);
    assert_int_equal(result.loaded, 1000);
    assert_int_equal(result.peak, 1000);
    assert_non_null(strstr(result.method, "memory of the process"));
}

static void difference_where_others_are_listed(void **state)
{
    (void)state;
    struct device_memory_result result =
        life("used=500", "used=500", "used=1700 pid=1 bytes=300", "used=2500 pid=1 bytes=300");
    assert_int_equal(result.before, 0);
    assert_int_equal(result.loaded, 1200);
    assert_int_equal(result.peak, 2000);
    assert_non_null(strstr(result.method, "difference"));
}

static void difference_where_none_may_be_listed(void **state)
{
    (void)state;
    const char denied[] = "used=800 nvmlDeviceGetComputeRunningProcesses_v3=4";
    struct device_memory_result result = life("used=900", denied, denied, denied);
    assert_int_equal(result.loaded, 0); /* others gave memory back */
    assert_int_equal(result.peak, 0);
}

static void unknown_where_nothing_is_told(void **state)
{
    (void)state;
    const char lost[] = "nvmlDeviceGetComputeRunningProcesses_v3=15 nvmlDeviceGetMemoryInfo=15";
    struct device_memory_result result = life("", lost, lost, lost);
    assert_int_equal(result.before, -1);
    assert_int_equal(result.loaded, -1);
    assert_int_equal(result.peak, -1);
}

/* Memory that is held for a while only is seen by the thread, which reads once at least. */
static void peak_between_readings(void **state)
{
    (void)state;
    struct device_memory *memory;
    struct device_memory_result result;
    struct error err;
    settings("tree=3000");
    assert_int_equal(device_memory_open(&memory, CARD, &err), STATUS_OK);
    pid_t worker = sleeper();
    assert_int_equal(device_memory_watch(memory, worker, &err), STATUS_OK);
    device_memory_pause(memory);
    settings("tree=1000");
    device_memory_end(memory, &result);
    assert_int_equal(result.before, -1); /* never noted */
    assert_int_equal(result.peak, 3000);
    device_memory_close(memory);
    end(worker);
}

static void no_such_card(void **state)
{
    (void)state;
    struct device_memory *memory;
    struct error err;
    settings("");
    assert_int_equal(device_memory_open(&memory, "0000:09:00.0", &err), STATUS_UNSUPPORTED);
    assert_null(memory);
    settings("nvmlInit_v2=9");
    assert_int_equal(device_memory_open(&memory, CARD, &err), STATUS_UNSUPPORTED);
    device_memory_close(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_memory_where_it_is_listed),
        cmocka_unit_test(difference_where_others_are_listed),
        cmocka_unit_test(difference_where_none_may_be_listed),
        cmocka_unit_test(unknown_where_nothing_is_told),
        cmocka_unit_test(peak_between_readings),
        cmocka_unit_test(no_such_card),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
