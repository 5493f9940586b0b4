/* src/store: files of older versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "../support/temporary.h"
#include "base/file.h"
#include "store/store.h"

static const struct record_variant variant = {
    .name = "a", .title = "A", .engine = "a", .precision = "float32", .about = ""};

/* Fills a new database from a file of SQL. */
static void fill(const char *path, const char *sql_path)
{
    struct error err;
    char *sql;
    size_t bytes;
    sqlite3 *db;
    assert_int_equal(file_read(sql_path, 1 << 20, &sql, &bytes, &err), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(sql);
}

/* A file of an older version keeps all that it held, and its runs have a uid each. */
static void migrates(const char *name, const char *sql_path)
{
    struct error err;
    struct store *store;
    struct record_run first, second, again;
    struct arena arena = {0};
    const char *path = temporary_path(name);
    fill(path, sql_path);
    assert_int_equal(store_open_read(&store, path, &err), 0);
    assert_int_equal(store_run_load(store, 3, &first, &arena, &err), 0);
    assert_int_equal(store_run_load(store, 5, &second, &arena, &err), 0);
    assert_string_equal(first.created, "2026-01-31T12:00:00Z");
    assert_string_equal(first.state, "complete");
    assert_string_equal(first.plan, "{\"blocks\":1}");
    assert_string_equal(first.variants[0].detail, "avx2");
    assert_int_equal(first.process_count, 1);
    assert_int_equal(first.processes[0].phases[0].end_ns, 9);
    assert_int_equal(first.processes[0].token_count, 2);
    assert_int_equal(first.processes[0].ids[1], 42);
    assert_int_equal(first.processes[0].stamps_ns[1], 200);
    assert_true(first.processes[0].load_average == 0.25);
    assert_int_equal(first.processes[0].attempt + first.processes[0].point, 0);
    assert_int_equal(first.processes[0].reading_count, 0);
    assert_null(first.equivalence);
    assert_false(first.imported);
    assert_int_equal(strlen(first.uid), 32);
    assert_string_not_equal(first.uid, second.uid);
    store_close(store);
    assert_int_equal(store_open(&store, path, &err), 0);
    assert_int_equal(store_run_load(store, 3, &again, &arena, &err), 0);
    assert_string_equal(again.uid, first.uid);
    int64_t run;
    assert_int_equal(store_run_unfinished(store, &run, &err), 0);
    assert_int_equal(run, 5);
    assert_int_equal(store_run_begin(store, "{}", "{}", &variant, 1, &run, &err), 0);
    assert_true(run > 5);
    store_close(store);
    arena_free(&arena);
}

static void migrates_version_1(void **state)
{
    (void)state;
    migrates("version1.db", TEST_DATA "/support/store_version_1.sql");
}

static void migrates_version_2(void **state)
{
    (void)state;
    migrates("version2.db", TEST_DATA "/support/store_version_2.sql");
}

static void migrates_version_3(void **state)
{
    (void)state;
    migrates("version3.db", TEST_DATA "/support/store_version_3.sql");
}

/* What the gate found before it knew of probabilities was found by logits. */
static void migrates_version_4(void **state)
{
    (void)state;
    struct error err;
    struct store *store;
    struct record_run run;
    struct arena arena = {0};
    migrates("version4.db", TEST_DATA "/support/store_version_4.sql");
    assert_int_equal(store_open_read(&store, temporary_path("version4.db"), &err), 0);
    assert_int_equal(store_run_load(store, 5, &run, &arena, &err), 0);
    assert_int_equal(run.equivalence[0].positions, 128);
    assert_true(run.equivalence[0].greedy_margin == 1e-5);
    assert_int_equal(run.equivalence[0].told, 0);
    store_close(store);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrates_version_1),
        cmocka_unit_test(migrates_version_2),
        cmocka_unit_test(migrates_version_3),
        cmocka_unit_test(migrates_version_4),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
