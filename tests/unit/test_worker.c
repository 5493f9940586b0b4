/* The host's side of a worker, against the null engine. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/worker.h"

enum { TOKENS = 400 };

static struct engine_catalogue catalogue;

static struct worker *start(const char *engine_name, int cancel_fd)
{
    struct worker *worker;
    struct worker_hello hello;
    struct error err;
    const struct engine *engine = engine_find(&catalogue, engine_name);
    assert_non_null(engine);
    if (worker_start(&worker, engine, &(struct worker_options){.cancel_fd = cancel_fd}, &hello,
                     &err)) {
        error_print(&err, stderr);
        fail();
    }
    assert_string_equal(hello.engine, engine_name);
    assert_string_equal(hello.devices, "cpu");
    assert_true(hello.ready_ns > hello.spawned_ns);
    return worker;
}

static struct worker *start_loaded(const char *variant, int cancel_fd)
{
    struct worker *worker = start("null", cancel_fd);
    struct worker_loaded loaded;
    struct error err;
    struct worker_load request = {.model = "/proc/self/exe", .variant = variant, .context = 1000};
    assert_int_equal(worker_load(worker, &request, &loaded, &err), STATUS_OK);
    assert_int_equal(loaded.vocabulary, 131072);
    assert_int_equal(loaded.phases, 1);
    assert_true(loaded.phase[0].start_ns >= loaded.asked_ns);
    assert_true(loaded.phase[0].end_ns <= loaded.ready_ns);
    return worker;
}

static void generates(void **state)
{
    (void)state;
    struct worker *worker = start_loaded("null-instant", -1);
    const int32_t prompt[] = {1, 2, 3};
    int32_t ids[2][TOKENS];
    int64_t stamps[TOKENS];
    struct error err;
    for (int i = 0; i < 2; i++) {
        struct worker_generated generated = {.ids = ids[i], .stamps_ns = stamps};
        assert_int_equal(worker_generate(worker, prompt, 3, TOKENS, &generated, &err), STATUS_OK);
        assert_int_equal(generated.count, TOKENS);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    float *logits;
    assert_int_equal(worker_logits(worker, ids[0], 20, &logits, NULL, &err), STATUS_OK);
    free(logits);
    struct worker_memory memory;
    assert_int_equal(worker_memory(worker, &memory, &err), STATUS_OK);
    assert_true(memory.host_bytes > 0 && memory.host_peak_bytes >= memory.host_bytes);
    assert_int_equal(memory.device_bytes, -1);
    assert_int_equal(worker_unload(worker, &err), STATUS_OK);
    worker_stop(worker);
}

/* An engine's own error is no reason to kill it. */
static void reports_errors_and_lives(void **state)
{
    (void)state;
    struct worker *worker = start("null", -1);
    struct worker_loaded loaded;
    struct error err;
    struct worker_load request = {.model = "/no/such/model", .variant = "null", .context = 10};
    assert_int_equal(worker_load(worker, &request, &loaded, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.what, "there is no model at /no/such/model");
    assert_int_equal(worker_trace(worker, "/tmp/x", NULL, &err), STATUS_UNSUPPORTED);
    request.model = "/proc/self/exe";
    assert_int_equal(worker_load(worker, &request, &loaded, &err), STATUS_OK);
    int32_t prompt[11] = {1, -5}, ids[20];
    int64_t stamps[20];
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps};
    assert_int_equal(worker_generate(worker, prompt, 11, 1, &generated, &err), STATUS_USAGE);
    assert_int_equal(worker_generate(worker, prompt, 2, 1, &generated, &err), STATUS_USAGE);
    assert_int_equal(worker_generate(worker, prompt, 1, 1, &generated, &err), STATUS_OK);
    assert_true(worker_alive(worker));
    worker_stop(worker);
}

static bool take_three(void *context, int32_t id)
{
    int *count = context;
    (void)id;
    return ++*count < 3;
}

static bool take_all(void *context, int32_t id)
{
    (void)context, (void)id;
    return true;
}

static void streams(void **state)
{
    (void)state;
    struct worker *worker = start_loaded("null", -1);
    const int32_t prompt[] = {7};
    int32_t ids[TOKENS], greedy[TOKENS];
    int64_t stamps[TOKENS];
    int count = 0;
    struct error err;
    struct worker_sampling sampling = {.top_p = 1};
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps};
    assert_int_equal(
        worker_stream(worker, prompt, 1, TOKENS, &sampling, take_three, &count, &generated, &err),
        STATUS_OK);
    assert_int_equal(count, 3);
    assert_true(generated.count >= 3 && generated.count < TOKENS);
    struct worker_generated again = {.ids = greedy, .stamps_ns = stamps};
    assert_int_equal(worker_generate(worker, prompt, 1, 5, &again, &err), STATUS_OK);
    assert_memory_equal(ids, greedy, 3 * sizeof *ids);
    sampling.stop = &greedy[1];
    sampling.stop_count = 1;
    assert_int_equal(
        worker_stream(worker, prompt, 1, 5, &sampling, take_all, NULL, &generated, &err),
        STATUS_OK);
    assert_int_equal(generated.count, 2);
    worker_stop(worker);
}

static void interrupt_ends_a_stream_and_kills_a_timed_run(void **state)
{
    (void)state;
    int fd = eventfd(0, 0);
    uint64_t one = 1;
    struct worker *worker = start_loaded("null", fd);
    struct error err;
    const int32_t prompt[] = {7};
    int32_t ids[TOKENS];
    int64_t stamps[TOKENS];
    struct worker_sampling sampling = {.top_p = 1};
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps};
    assert_int_equal(write(fd, &one, sizeof one), sizeof one);
    assert_int_equal(
        worker_stream(worker, prompt, 1, TOKENS, &sampling, take_all, NULL, &generated, &err),
        STATUS_INTERRUPTED);
    assert_true(generated.count < TOKENS);
    assert_true(worker_alive(worker));
    assert_int_equal(worker_generate(worker, prompt, 1, TOKENS, &generated, &err),
                     STATUS_INTERRUPTED);
    assert_false(worker_alive(worker));
    worker_stop(worker);
    close(fd);
}

static void a_killed_worker_is_an_error_that_lasts(void **state)
{
    (void)state;
    struct worker *worker = start_loaded("null", -1);
    struct worker_memory memory;
    struct error err;
    kill(worker_pid(worker), SIGKILL);
    assert_int_equal(worker_memory(worker, &memory, &err), STATUS_WORKER);
    assert_string_equal(
        err.what,
        "null: the worker ended when it should tell its memory: killed by signal 9 (Killed)");
    assert_int_equal(worker_memory(worker, &memory, &err), STATUS_WORKER);
    assert_int_equal(kill(worker_pid(worker), 0), -1);
    worker_stop(worker);
}

/* The system calls that this process has made to read and to write, from the kernel's count. */
static long io_calls(void)
{
    long reads = 0, writes = 0;
    FILE *stream = fopen("/proc/self/io", "re");
    char line[128];
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream))
        if (sscanf(line, "syscr: %ld", &reads) != 1)
            sscanf(line, "syscw: %ld", &writes);
    fclose(stream);
    return reads + writes;
}

static long calls_for(struct worker *worker, size_t tokens)
{
    const int32_t prompt[] = {7};
    int32_t ids[TOKENS];
    int64_t stamps[TOKENS];
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps};
    struct error err;
    long before = io_calls();
    assert_int_equal(worker_generate(worker, prompt, 1, tokens, &generated, &err), STATUS_OK);
    return io_calls() - before;
}

/* One write for the request, one read for the reply, however many tokens lie between. */
static void host_moves_no_byte_while_tokens_are_timed(void **state)
{
    (void)state;
    struct worker *worker = start_loaded("null", -1);
    long none = -io_calls();
    none += io_calls();
    long few = calls_for(worker, 1), many = calls_for(worker, TOKENS);
    assert_int_equal(few, many);
    assert_int_equal(many - none, 2);
    worker_stop(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generates),
        cmocka_unit_test(reports_errors_and_lives),
        cmocka_unit_test(streams),
        cmocka_unit_test(interrupt_ends_a_stream_and_kills_a_timed_run),
        cmocka_unit_test(a_killed_worker_is_an_error_that_lasts),
        cmocka_unit_test(host_moves_no_byte_while_tokens_are_timed),
    };
    struct error err;
    setenv("PRONY_ENGINE_PATH", BUILD_FOLDER "/engines", 1);
    if (engine_catalogue_open(&catalogue, &err)) {
        error_print(&err, stderr);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    engine_catalogue_close(&catalogue);
    return failed;
}
