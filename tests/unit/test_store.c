/* src/store: what goes in comes out; a run killed in the middle stays readable; bad files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "store/store.h"

static const struct record_variant variants[] = {
    {.name = "a-f32", .title = "A f32", .engine = "a", .precision = "float32", .about = "plain"},
    {.name = "b",
     .title = "B",
     .engine = "b",
     .precision = "mixed",
     .about = "",
     .unavailable = "not installed"},
};

static struct record_process sample(uint32_t block)
{
    static struct record_phase phases[] = {{"read", 5, 9}, {"compile", 9, 11}};
    static int64_t stamps[] = {100, 200, 305};
    static int32_t ids[] = {7, 0, 49151};
    static struct record_reading readings[] = {{"foreign_cores", 0.25}, {"steal_share", 0}};
    return (struct record_process){
        .block = block,
        .attempt = 2,
        .point = 3,
        .readings = readings,
        .reading_count = 2,
        .spawned_ns = 1,
        .hello_ns = 2,
        .load_asked_ns = 3,
        .load_ready_ns = 12,
        .phases = phases,
        .phase_count = 2,
        .weight_bytes = 270000000,
        .kv_token_bytes = 23040,
        .embedding_bytes = 56,
        .threads = 2,
        .precision = "float32",
        .cold_asked_ns = 13,
        .cold_prompt_ns = 14,
        .cold_first_ns = 50,
        .prompt_tokens = 64,
        .prompt_ns = 90,
        .stamps_ns = stamps,
        .ids = ids,
        .token_count = 3,
        .warmup_steps = 1,
        .memory_before = 1000,
        .memory_loaded = 2000,
        .memory_peak = 3000,
        .device_before = -1,
        .device_loaded = -1,
        .device_peak = -1,
        .memory_method = "PSS",
        .bandwidth = 17.5e9,
        .load_average = 0.25,
    };
}

static int64_t begin(struct store *store)
{
    struct error err;
    int64_t run = 0;
    assert_int_equal(store_run_begin(store, "{\"blocks\": 6}", "{}", variants, 2, &run, &err), 0);
    return run;
}

static void round_trip(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    struct arena arena = {0};
    struct record_run run;
    assert_int_equal(store_open(&store, temporary_path("sub/folder/results.db"), &err), 0);
    assert_int_equal(store_run_load(store, 0, &run, &arena, &err), STATUS_NOT_FOUND);
    int64_t id = begin(store);
    struct record_process good = sample(0), bad = {.block = 1,
                                                   .failure = "it hung",
                                                   .log_tail = "last words\n",
                                                   .device_peak = -1};
    const struct record_versions versions = {"1.2", "libc", "avx2"};
    assert_int_equal(store_process_add(store, id, &good, &versions, &err), 0);
    assert_int_equal(store_process_add(store, id, &bad, NULL, &err), 0);
    assert_int_equal(store_run_load(store, 0, &run, &arena, &err), 0);
    assert_int_equal(run.id, id);
    assert_string_equal(run.state, "running");
    assert_string_equal(run.plan, "{\"blocks\": 6}");
    assert_int_equal(run.variant_count, 2);
    assert_string_equal(run.variants[0].engine_version, "1.2");
    assert_string_equal(run.variants[0].detail, "avx2");
    assert_null(run.variants[0].unavailable);
    assert_string_equal(run.variants[1].unavailable, "not installed");
    assert_int_equal(run.process_count, 2);
    const struct record_process *got = &run.processes[0];
    assert_int_equal(got->phase_count, 2);
    assert_string_equal(got->phases[1].name, "compile");
    assert_int_equal(got->phases[1].end_ns, 11);
    assert_int_equal(got->token_count, 3);
    assert_memory_equal(got->stamps_ns, good.stamps_ns, 3 * sizeof *good.stamps_ns);
    assert_memory_equal(got->ids, good.ids, 3 * sizeof *good.ids);
    assert_int_equal(got->weight_bytes, 270000000);
    assert_int_equal(got->embedding_bytes, 56);
    assert_int_equal(got->cold_asked_ns, 13);
    assert_int_equal(got->prompt_tokens, 64);
    assert_int_equal(got->warmup_steps, 1);
    assert_int_equal(got->memory_peak, 3000);
    assert_int_equal(got->device_peak, -1);
    assert_string_equal(got->memory_method, "PSS");
    assert_true(got->bandwidth == 17.5e9 && got->load_average == 0.25);
    assert_true(got->attempt == 2 && got->point == 3);
    assert_int_equal(got->reading_count, 2);
    assert_string_equal(got->readings[0].name, "foreign_cores");
    assert_true(got->readings[0].value == 0.25 && got->readings[1].value == 0);
    assert_null(got->failure);
    assert_string_equal(run.processes[1].failure, "it hung");
    assert_string_equal(run.processes[1].log_tail, "last words\n");
    assert_int_equal(run.processes[1].token_count, 0);
    assert_int_equal(store_run_load(store, id + 1, &run, &arena, &err), STATUS_NOT_FOUND);
    arena_free(&arena);
    store_close(store);
}

static const struct record_equivalence gated = {.precision = "float16",
                                                .positions = 128,
                                                .agreeing = 126,
                                                .told = 20,
                                                .kl_mean = 1.0 / 3e5,
                                                .kl_most = 2e-5,
                                                .kl_bound = 6.4e-5,
                                                .error_most = 0.002,
                                                .error_bound = 0.005,
                                                .first = 17,
                                                .first_margin = 1e-4,
                                                .greedy_ids = 29,
                                                .greedy_worst = 3,
                                                .greedy_margin = 1e-5};

/* A later record takes the place of an earlier one; variants without one are told apart. */
static void equivalence_is_kept(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    struct arena arena = {0};
    struct record_run run;
    const struct record_equivalence ungated = {
        .precision = "mixed", .why = "its engine gives no logits", .first = -1};
    assert_int_equal(store_open(&store, temporary_path("equivalence.db"), &err), 0);
    int64_t id = begin(store);
    assert_int_equal(store_run_load(store, id, &run, &arena, &err), 0);
    assert_null(run.equivalence);
    assert_int_equal(store_equivalence_put(store, id, 0, &ungated, &err), 0);
    assert_int_equal(store_equivalence_put(store, id, 0, &gated, &err), 0);
    assert_int_equal(store_run_load(store, id, &run, &arena, &err), 0);
    const struct record_equivalence *got = &run.equivalence[0];
    assert_string_equal(got->precision, "float16");
    assert_null(got->why);
    assert_true(got->positions == 128 && got->agreeing == 126 && got->broken == 0);
    assert_int_equal(got->told, 20);
    assert_true(got->kl_mean == gated.kl_mean && got->kl_most == gated.kl_most);
    assert_true(got->kl_bound == gated.kl_bound && got->error_most == gated.error_most);
    assert_true(got->error_bound == gated.error_bound && got->first == 17);
    assert_true(got->first_margin == gated.first_margin && got->greedy_ids == 29);
    assert_true(got->greedy_worst == 3 && got->greedy_margin == gated.greedy_margin);
    assert_null(run.equivalence[1].precision);
    assert_int_equal(store_equivalence_put(store, id, 1, &ungated, &err), 0);
    assert_int_equal(store_run_load(store, id, &run, &arena, &err), 0);
    assert_string_equal(run.equivalence[1].why, ungated.why);
    assert_int_equal(run.equivalence[1].first, -1);
    arena_free(&arena);
    store_close(store);
}

static void states(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    int64_t found;
    assert_int_equal(store_open(&store, temporary_path("states.db"), &err), 0);
    assert_int_equal(store_run_unfinished(store, &found, &err), STATUS_NOT_FOUND);
    int64_t first = begin(store), second = begin(store);
    assert_int_equal(store_run_state(store, second, "complete", &err), 0);
    assert_int_equal(store_run_unfinished(store, &found, &err), 0);
    assert_int_equal(found, first);
    assert_int_equal(store_run_state(store, first, "interrupted", &err), 0);
    assert_int_equal(store_run_unfinished(store, &found, &err), 0);
    assert_int_not_equal(store_run_state(store, first, "nonsense", &err), 0);
    struct record_process orphan = sample(0);
    orphan.variant = 9;
    assert_int_equal(store_process_add(store, first, &orphan, NULL, &err), STATUS_IO);
    /* A run belongs to who measures it, until they are gone. */
    struct store *other;
    assert_int_equal(store_open(&other, temporary_path("states.db"), &err), 0);
    assert_int_equal(store_run_lock(other, first, &err), STATUS_USAGE);
    assert_int_equal(store_run_lock(store, first, &err), 0);
    store_close(store);
    assert_int_equal(store_run_lock(other, first, &err), 0);
    store_close(other);
}

/* A writer killed at any moment leaves whole records only. */
static void survives_kill(void **state)
{
    (void)state;
    struct error err;
    const char *path = temporary_path("killed.db");
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        if (store_open(&store, path, &err))
            _exit(1);
        int64_t run = begin(store);
        for (uint32_t block = 0;; block++) {
            struct record_process process = sample(block);
            if (store_process_add(store, run, &process, NULL, &err) || write(pipes[1], "x", 1) != 1)
                _exit(1);
        }
    }
    close(pipes[1]);
    char byte;
    for (int i = 0; i < 20; i++)
        assert_int_equal(read(pipes[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct store *store;
    struct arena arena = {0};
    struct record_run run;
    assert_int_equal(store_open(&store, path, &err), 0);
    assert_int_equal(store_run_load(store, 0, &run, &arena, &err), 0);
    assert_string_equal(run.state, "running");
    assert_true(run.process_count >= 20);
    for (size_t i = 0; i < run.process_count; i++) {
        assert_int_equal(run.processes[i].block, i);
        assert_int_equal(run.processes[i].token_count, 3);
        assert_int_equal(run.processes[i].phase_count, 2);
    }
    arena_free(&arena);
    store_close(store);
    close(pipes[0]);
}

static void refuses_other_files(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    FILE *stream = fopen(temporary_path("text.db"), "w");
    fputs("this is not a database, and long enough to tell, which takes a hundred bytes or more: "
          "the header's length",
          stream);
    fclose(stream);
    assert_int_equal(store_open(&store, temporary_path("text.db"), &err), STATUS_FORMAT);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(temporary_path("other.db"), &db), SQLITE_OK);
    sqlite3_exec(db, "CREATE TABLE people(name)", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(store_open(&store, temporary_path("other.db"), &err), STATUS_FORMAT);
    assert_non_null(strstr(err.where, "other.db"));
    assert_int_equal(sqlite3_open(temporary_path("newer.db"), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(store_open(&store, temporary_path("newer.db"), &err), STATUS_UNSUPPORTED);
    assert_int_equal(mkdir(temporary_path("folder.db"), 0777), 0);
    assert_int_equal(store_open(&store, temporary_path("folder.db"), &err), STATUS_IO);
    assert_non_null(strstr(err.remedy, "PRONY_STORE"));
    assert_int_not_equal(store_open(&store, "/proc/nothing/results.db", &err), 0);
    assert_non_null(strstr(err.remedy, "PRONY_STORE"));
}

static void reads_without_writing(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    struct record_run run;
    struct arena arena = {0};
    const char *path = temporary_path("read.db");
    assert_int_equal(store_open_read(&store, path, &err), STATUS_NOT_FOUND);
    assert_null(store);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(store_open(&store, path, &err), 0);
    store_close(store);
    assert_int_equal(store_open_read(&store, path, &err), 0);
    assert_int_equal(store_run_load(store, 0, &run, &arena, &err), STATUS_NOT_FOUND);
    assert_int_equal(store_run_state(store, 1, "complete", &err), STATUS_IO);
    store_close(store);
    arena_free(&arena);
    assert_int_equal(store_open_read(&store, temporary_path("other.db"), &err), STATUS_FORMAT);
    assert_int_equal(store_open_read(&store, temporary_path("newer.db"), &err), STATUS_UNSUPPORTED);
    assert_int_equal(store_open_read(&store, temporary_path("text.db"), &err), STATUS_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(equivalence_is_kept),
        cmocka_unit_test(states),
        cmocka_unit_test(survives_kill),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(reads_without_writing),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
