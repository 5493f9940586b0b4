/* engine/effort: threads are counted by their own time, whatever else the machine does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/effort.h"

enum { ENOUGH_MS = 400 };

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void *compute(void *unused)
{
    for (volatile unsigned count = 0;; count++)
        ;
    return unused;
}

static void *doze(void *unused)
{
    for (;;)
        sleep_ms(10);
    return unused;
}

/* A process, below another one, of so many threads that compute and one that hardly does. */
static pid_t team_start(unsigned size)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    setpgid(pid, 0);
    if (pid > 0)
        return pid;
    pid_t member = fork();
    if (member == 0) {
        pthread_t thread;
        for (unsigned i = 0; i < size; i++)
            pthread_create(&thread, NULL, compute, NULL);
        doze(NULL);
    }
    waitpid(member, NULL, 0);
    _exit(0);
}

/* Milliseconds that the threads have run. */
static int64_t ran_ms(const struct effort *effort)
{
    int64_t sum_ns = 0;
    for (size_t i = 0; i < effort->count; i++)
        sum_ns += effort->threads[i].ran_ns;
    return sum_ns / 1000000;
}

/* Until they have run for long enough, however long the machine takes to let them. */
static void wait_for(const struct effort *begin)
{
    struct error err;
    struct effort now;
    bool enough = false;
    while (!enough) {
        sleep_ms(10);
        enough = effort_begin(&now, begin->pid, &err) != STATUS_OK ||
                 ran_ms(&now) - ran_ms(begin) >= ENOUGH_MS;
        free(now.threads);
    }
}

static struct effort_report watch(unsigned size)
{
    struct error err;
    struct effort effort;
    struct effort_report report = {0};
    pid_t pid = team_start(size);
    enum status status = effort_begin(&effort, pid, &err);
    wait_for(&effort);
    if (!status)
        status = effort_end(&effort, &report, &err);
    kill(-pid, SIGKILL); /* before anything can fail: they would compute on */
    waitpid(pid, NULL, 0);
    assert_int_equal(status, STATUS_OK);
    return report;
}

static void counts_those_that_compute(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= 3; size++) {
        struct effort_report report = watch(size);
        assert_int_equal(report.threads, size);
        assert_true(report.at_once > size - 0.5 && report.at_once < size + 0.5);
    }
}

static void the_kernel_counts(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(effort_check(&err), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_counts),
        cmocka_unit_test(counts_those_that_compute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
