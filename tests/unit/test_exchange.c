/* src/store's export and import: nothing is lost, whatever is wrong is named, runs are removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/json.h"
#include "store/export.h"
#include "store/import.h"
#include "store/store.h"

static struct store *open_store(const char *name)
{
    struct error err;
    struct store *store;
    assert_int_equal(store_open(&store, temporary_path(name), &err), 0);
    return store;
}

/* A run with a variant that works, one that cannot run, and a process that failed. */
static int64_t fill(struct store *store)
{
    static const struct record_variant variants[] = {
        {.name = "a", .title = "A", .engine = "e", .precision = "float32", .about = "plain"},
        {.name = "b",
         .title = "B",
         .engine = "e",
         .precision = "mixed",
         .about = "",
         .unavailable = "not \"installed\""},
    };
    struct record_phase phases[] = {{"read", 5, 9}, {"compile", 9, 11}};
    int64_t stamps[] = {INT64_C(9007199254740993), INT64_C(9007199254740995)}, run;
    int32_t ids[] = {7, 49151};
    struct record_reading readings[] = {{"clock_hz", 2.5e9}, {"foreign_cores", 1.0 / 3}};
    struct record_process good = {.spawned_ns = 1,
                                  .attempt = 1,
                                  .point = 2,
                                  .readings = readings,
                                  .reading_count = 2,
                                  .phases = phases,
                                  .phase_count = 2,
                                  .weight_bytes = 270000000,
                                  .threads = 2,
                                  .precision = "float32",
                                  .prompt_tokens = 64,
                                  .prompt_ns = 90,
                                  .stamps_ns = stamps,
                                  .ids = ids,
                                  .token_count = 2,
                                  .memory_peak = 3000,
                                  .device_peak = -1,
                                  .memory_method = "PSS",
                                  .bandwidth = 1e10 / 3,
                                  .load_average = 0.1};
    struct record_process bad = {
        .block = 1, .failure = "it \033hung", .log_tail = "last\nwords \xff\n"};
    struct error err;
    assert_int_equal(
        store_run_begin(store, "{\"blocks\": 2, \"x\": 0.1}", "{}", variants, 2, &run, &err), 0);
    const struct record_equivalence found = {.precision = "float16",
                                             .positions = 128,
                                             .agreeing = 126,
                                             .kl_mean = 1.0 / 3e5,
                                             .kl_bound = 6.4e-5,
                                             .error_most = 0.002,
                                             .error_bound = 0.005,
                                             .first = 17,
                                             .first_margin = 1e-4,
                                             .greedy_ids = 29,
                                             .greedy_margin = 1e-5};
    assert_int_equal(store_equivalence_put(store, run, 0, &found, &err), 0);
    const struct record_versions versions = {"1.2", "libc", "avx2"};
    assert_int_equal(store_process_add(store, run, &good, &versions, &err), 0);
    assert_int_equal(store_process_add(store, run, &bad, NULL, &err), 0);
    assert_int_equal(store_run_state(store, run, "interrupted", &err), 0);
    return run;
}

static json_t *document_of(struct store *store, int64_t run)
{
    struct arena arena = {0};
    struct record_run record;
    struct error err;
    json_t *document = export_document(&err);
    assert_int_equal(store_run_load(store, run, &record, &arena, &err), 0);
    assert_int_equal(export_document_add(document, &record, &err), 0);
    arena_free(&arena);
    return document;
}

static json_t *run_of(json_t *document)
{
    return json_array_get(json_object_get(document, "runs"), 0);
}

static void nothing_is_lost(void **state)
{
    (void)state;
    struct error err;
    struct arena arena = {0};
    struct record_run *runs;
    size_t count;
    struct store *here = open_store("here.db"), *there = open_store("there.db");
    json_t *document = document_of(here, fill(here));
    fill(there);
    assert_int_equal(import_document(document, "test", &runs, &count, &arena, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(store_runs_import(here, runs, 1, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "as run 1"));
    assert_int_equal(store_runs_import(there, runs, 1, &err), 0);
    assert_int_equal(runs[0].id, 2);
    assert_int_equal(store_runs_import(there, runs, 1, &err), STATUS_USAGE);
    json_t *again = document_of(there, 2);
    assert_int_equal(json_integer_value(json_object_get(run_of(again), "run")), 2);
    json_object_set_new(run_of(again), "run", json_integer(1));
    char *one = json_dumps(document, 0), *other = json_dumps(again, 0);
    assert_string_equal(one, other);
    /* It is interrupted, but nothing to go on with here. */
    int64_t unfinished;
    assert_int_equal(store_run_unfinished(there, &unfinished, &err), 0);
    assert_int_equal(unfinished, 1);
    struct store_listing *list;
    assert_int_equal(store_runs_list(there, &list, &count, &arena, &err), 0);
    assert_int_equal(count, 2);
    assert_true(list[1].imported && !list[0].imported);
    assert_int_equal(list[1].blocks, 1);
    assert_int_equal(list[1].failures, 1);
    free(one);
    free(other);
    json_decref(document);
    json_decref(again);
    arena_free(&arena);
    store_close(here);
    store_close(there);
}

/* Puts a value, or with NULL nothing, where a path of keys and indexes leads. */
static void change(json_t *value, const char *path, const char *json)
{
    char words[128], *rest = words;
    snprintf(words, sizeof words, "%s", path);
    for (char *word; (word = strsep(&rest, "/"));) {
        json_t *inner = json_is_array(value) ? json_array_get(value, strtoul(word, NULL, 10))
                                             : json_object_get(value, word);
        if (rest) {
            value = inner;
            continue;
        }
        json_t *new = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;
        if (json_is_array(value))
            json_array_set_new(value, strtoul(word, NULL, 10), new);
        else if (new)
            json_object_set_new(value, word, new);
        else
            json_object_del(value, word);
    }
}

static void wrong_members_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *path, *json, *named;
    } cases[] = {
        {"schema", "\"prony-results\"", "no export"},
        {"version", "99", "version 99"},
        {"version", "0", "version"},
        {"runs", "{}", "runs"},
        {"more", "1", "more"},
        {"runs/0", "[]", "no object"},
        {"runs/0/run", "0", "run"},
        {"runs/0/uid", "\"short\"", "uid"},
        {"runs/0/uid", "\"ABCDEFABCDEFABCDEFABCDEFABCDEFAB\"", "uid"},
        {"runs/0/created", "\"yesterday\"", "created"},
        {"runs/0/state", "\"odd\"", "state"},
        {"runs/0/plan", "\"{}\"", "plan"},
        {"runs/0/manifest", NULL, "manifest"},
        {"runs/0/extra", "null", "extra"},
        {"runs/0/variants/0/name", NULL, "name"},
        {"runs/0/variants/1/title", "3", "title"},
        {"runs/0/processes/0/variant", "2", "variant"},
        {"runs/0/processes/0/block", "10000", "block"},
        {"runs/0/processes/0/block", "-1", "block"},
        {"runs/0/processes/0/spawned_ns", "1.5", "spawned_ns"},
        {"runs/0/processes/0/spawned_ns", "9223372036854775807", "spawned_ns"},
        {"runs/0/processes/0/bandwidth", "-1", "bandwidth"},
        {"runs/0/processes/0/ids/0", "2147483648", "ids"},
        {"runs/0/processes/0/ids", "[]", "length"},
        {"runs/0/processes/0/stamps_ns/1", "\"x\"", "stamps_ns"},
        {"runs/0/processes/0/stamps_ns/1", "91", "before"},
        {"runs/0/processes/0/attempt", "-1", "attempt"},
        {"runs/0/processes/0/readings", "[]", "readings"},
        {"runs/0/processes/0/readings/clock_hz", "\"fast\"", "clock_hz"},
        {"runs/0/processes/0/phases/0/name", "null", "name"},
        {"runs/0/processes/0/phases/1/x", "null", "x"},
        {"runs/0/processes/1/failure", "[]", "failure"},
    };
    struct store *store = open_store("wrong.db");
    json_t *good = document_of(store, fill(store));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err;
        struct arena arena = {0};
        struct record_run *runs;
        size_t count;
        json_t *document = json_deep_copy(good);
        change(document, cases[i].path, cases[i].json);
        enum status status = import_document(document, "test.json", &runs, &count, &arena, &err);
        if (!status || !strstr(err.what, cases[i].named) || !strstr(err.where, "test.json"))
            fail_msg("%s: status %d, %s (%s)", cases[i].path, status, err.what, err.where);
        json_decref(document);
        arena_free(&arena);
    }
    json_decref(good);
    store_close(store);
}

/* Documents of version 1 know neither attempts nor readings, nor anything of the gate. */
static void version_1_is_read(void **state)
{
    (void)state;
    struct error err;
    struct arena arena = {0};
    struct record_run *runs;
    size_t count, index;
    json_t *process;
    struct store *store = open_store("old.db");
    json_t *document = document_of(store, fill(store));
    json_object_set_new(document, "version", json_integer(1));
    json_array_foreach(json_object_get(run_of(document), "processes"), index, process)
    {
        json_object_del(process, "attempt");
        json_object_del(process, "point");
        json_object_del(process, "readings");
    }
    json_array_foreach(json_object_get(run_of(document), "variants"), index, process)
    {
        json_object_del(process, "equivalence");
    }
    assert_int_equal(import_document(document, "test", &runs, &count, &arena, &err), 0);
    assert_null(runs[0].equivalence);
    assert_int_equal(runs[0].processes[0].attempt, 0);
    assert_int_equal(runs[0].processes[0].reading_count, 0);
    assert_int_equal(runs[0].processes[0].token_count, 2);
    json_decref(document);
    arena_free(&arena);
    store_close(store);
}

static void removes_all_or_none(void **state)
{
    (void)state;
    struct error err;
    struct arena arena = {0};
    struct store_listing *list;
    size_t count;
    struct store *store = open_store("rm.db");
    fill(store);
    fill(store);
    struct store *other = open_store("rm.db");
    /* The store that began them still measures them. */
    assert_int_equal(store_runs_remove(other, (int64_t[]){1}, 1, &err), STATUS_USAGE);
    store_close(store);
    assert_int_equal(store_runs_remove(other, (int64_t[]){1, 9}, 2, &err), STATUS_NOT_FOUND);
    assert_int_equal(store_runs_list(other, &list, &count, &arena, &err), 0);
    assert_int_equal(count, 2);
    assert_int_equal(store_runs_remove(other, (int64_t[]){2, 1}, 2, &err), 0);
    assert_int_equal(store_runs_list(other, &list, &count, &arena, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(fill(other), 3);
    store_close(other);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(wrong_members_are_named),
        cmocka_unit_test(version_1_is_read),
        cmocka_unit_test(removes_all_or_none),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
