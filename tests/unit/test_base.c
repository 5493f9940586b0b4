/* src/base: errors, arenas, files, JSON members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

static void write_text(const char *path, const char *text)
{
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    fputs(text, stream);
    assert_int_equal(fclose(stream), 0);
}

static void error_is_one_line_with_place_and_remedy(void **state)
{
    (void)state;
    struct error err;
    char *line = NULL;
    size_t size = 0;
    assert_int_equal(error_set(&err, STATUS_FORMAT, "bad magic %d", 7), STATUS_FORMAT);
    error_where(&err, "%s, offset %d", "m.gguf", 0);
    error_remedy(&err, "Fetch it again.");
    FILE *stream = open_memstream(&line, &size);
    error_print(&err, stream);
    fclose(stream);
    assert_string_equal(line, "Error: bad magic 7 (m.gguf, offset 0). Fetch it again.\n");
    free(line);

    error_set(&err, STATUS_USAGE, "second");
    assert_string_equal(err.where, "");
    assert_string_equal(err.remedy, "");
    errno = ENOSPC;
    assert_int_equal(error_errno(&err, "write %s", "x"), STATUS_IO);
    assert_string_not_equal(err.remedy, "");
    assert_string_equal(status_name(STATUS_TIMEOUT), "timeout");
    assert_string_equal(status_name((enum status)99), "unknown");
}

static void error_text_that_is_too_long_is_cut(void **state)
{
    (void)state;
    struct error err;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    error_set(&err, STATUS_IO, "%s", text);
    assert_int_equal(strlen(err.what), sizeof err.what - 1);
}

static void error_text_cannot_steer_a_terminal(void **state)
{
    (void)state;
    struct error err;
    error_set(&err, STATUS_FORMAT, "a\x1b[31mb\nc\x7f \xc3\xa9 \xc2\x9b");
    error_where(&err, "x\ry");
    assert_string_equal(err.what, "a?[31mb?c? \xc3\xa9 ??");
    assert_string_equal(err.where, "x?y");
}

static void arena_memory_is_aligned_zeroed_and_checked(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t bytes = 0; bytes < 200000; bytes = bytes * 3 + 1) {
        unsigned char *memory = arena_alloc(&arena, bytes);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, bytes);
    }
    assert_null(arena_array(&arena, SIZE_MAX / 4, 8));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 5), "a-5");
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    arena_free(&arena);
    assert_null(arena.chunks);
}

static void writer_shows_nothing_before_commit(void **state)
{
    (void)state;
    struct error err;
    struct file_writer writer;
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s", temporary_path("out"));
    write_text(path, "old");
    assert_int_equal(file_writer_open(&writer, path, &err), STATUS_OK);
    fputs("new", writer.stream);
    assert_int_equal(file_read(path, 100, &text, &bytes, &err), STATUS_OK);
    assert_string_equal(text, "old");
    free(text);
    char temporary[256];
    snprintf(temporary, sizeof temporary, "%s", writer.temporary);
    assert_int_equal(file_writer_commit(&writer, &err), STATUS_OK);
    file_writer_abort(&writer);
    assert_false(path_is_file(temporary));
    assert_int_equal(file_read(path, 100, &text, &bytes, &err), STATUS_OK);
    assert_string_equal(text, "new");
    assert_int_equal(bytes, 3);
    free(text);
}

static void writer_on_a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    struct error err;
    struct file_writer writer;
    char path[256], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s", temporary_path("full"));
    write_text(path, "old");
    assert_int_equal(file_writer_open(&writer, path, &err), STATUS_OK);
    /* /dev/full refuses every byte, as a full disk does. */
    int full = open("/dev/full", O_WRONLY);
    assert_true(full >= 0 && dup2(full, fileno(writer.stream)) >= 0);
    close(full);
    fputs("new", writer.stream);
    assert_int_equal(file_writer_commit(&writer, &err), STATUS_IO);
    assert_non_null(strstr(err.what, "No space left"));
    assert_string_equal(err.where, path);
    assert_string_not_equal(err.remedy, "");
    assert_int_equal(file_read(path, 100, &text, &bytes, &err), STATUS_OK);
    assert_string_equal(text, "old");
    free(text);
}

static void files_that_are_missing_large_or_no_files_are_named(void **state)
{
    (void)state;
    struct error err;
    struct file_map map;
    char *text;
    size_t bytes;
    assert_int_equal(file_map_open(&map, temporary_path("none"), &err), STATUS_NOT_FOUND);
    assert_string_equal(err.where, temporary_path("none"));
    assert_int_equal(file_map_open(&map, temporary_folder, &err), STATUS_FORMAT);
    write_text(temporary_path("empty"), "");
    assert_int_equal(file_map_open(&map, temporary_path("empty"), &err), STATUS_OK);
    assert_null(map.data);
    file_map_close(&map);
    write_text(temporary_path("large"), "0123456789");
    assert_int_equal(file_read(temporary_path("large"), 9, &text, &bytes, &err), STATUS_FORMAT);
    assert_null(text);
    assert_int_equal(file_read(temporary_path("large"), 10, &text, &bytes, &err), STATUS_OK);
    assert_int_equal(bytes, 10);
    free(text);
}

static void folders_are_made_with_their_parents(void **state)
{
    (void)state;
    struct error err;
    char path[512];
    uint64_t free_bytes;
    assert_int_equal(folder_make(temporary_path("a/b/c"), &err), STATUS_OK);
    assert_int_equal(folder_make(temporary_path("a/b/c"), &err), STATUS_OK);
    assert_true(path_is_folder(temporary_path("a/b/c")));
    write_text(temporary_path("a/file"), "");
    assert_int_equal(folder_make(temporary_path("a/file"), &err), STATUS_IO);
    assert_int_equal(folder_make(temporary_path("a/file/x"), &err), STATUS_IO);
    assert_int_equal(disk_free_bytes(temporary_path("not/there/yet"), &free_bytes, &err),
                     STATUS_OK);
    assert_true(free_bytes > 0);
    setenv("PRONY_CACHE", temporary_path("cache"), 1);
    assert_int_equal(cache_folder(path, sizeof path, "models", &err), STATUS_OK);
    assert_string_equal(path, temporary_path("cache/models"));
    assert_int_equal(cache_folder(path, 8, "models", &err), STATUS_IO);
    unsetenv("PRONY_CACHE");
    assert_string_equal(path_base("/a/b.gguf"), "b.gguf");
    assert_string_equal(path_base("b.gguf"), "b.gguf");
}

static void json_members_are_checked_and_named(void **state)
{
    (void)state;
    struct error err;
    const char *text = "{\"s\": \"x\", \"i\": 5, \"n\": 1.5, \"b\": true, \"z\": null}";
    json_t *object = json_parse(text, strlen(text), "here", &err);
    const char *string;
    int64_t integer;
    double number;
    bool boolean;
    assert_non_null(object);
    assert_int_equal(json_get_string(object, "s", &string, &err), STATUS_OK);
    assert_string_equal(string, "x");
    assert_int_equal(json_get_string_or(object, "z", "other", &string, &err), STATUS_OK);
    assert_string_equal(string, "other");
    assert_int_equal(json_get_int(object, "i", 0, 9, &integer, &err), STATUS_OK);
    assert_int_equal(integer, 5);
    assert_int_equal(json_get_int(object, "i", 0, 4, &integer, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.what, "\"i\" is 5"));
    assert_int_equal(json_get_int(object, "n", 0, 4, &integer, &err), STATUS_FORMAT);
    assert_int_equal(json_get_int_or(object, "none", 0, 4, 3, &integer, &err), STATUS_OK);
    assert_int_equal(integer, 3);
    assert_int_equal(json_get_number(object, "i", &number, &err), STATUS_OK);
    assert_true(number == 5.0);
    assert_int_equal(json_get_number_or(object, "s", 1, &number, &err), STATUS_FORMAT);
    assert_int_equal(json_get_bool_or(object, "b", false, &boolean, &err), STATUS_OK);
    assert_true(boolean);
    assert_int_equal(json_get_bool_or(object, "i", false, &boolean, &err), STATUS_FORMAT);
    assert_int_equal(json_get_string(object, "none", &string, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.what, "missing"));
    json_decref(object);
}

static void json_that_is_none_is_refused_with_its_place(void **state)
{
    (void)state;
    struct error err;
    assert_null(json_parse("{\n 1}", 5, "file.json", &err));
    assert_non_null(strstr(err.where, "file.json, line 2"));
    assert_null(json_parse("[1]", 3, "x", &err));
    assert_int_equal(err.status, STATUS_FORMAT);
    assert_null(json_parse("{\"a\":1,\"a\":2}", 13, "x", &err));
    char deep[10000];
    memset(deep, '[', sizeof deep);
    assert_null(json_parse(deep, sizeof deep, "deep", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_one_line_with_place_and_remedy),
        cmocka_unit_test(error_text_that_is_too_long_is_cut),
        cmocka_unit_test(error_text_cannot_steer_a_terminal),
        cmocka_unit_test(arena_memory_is_aligned_zeroed_and_checked),
        cmocka_unit_test(writer_shows_nothing_before_commit),
        cmocka_unit_test(writer_on_a_full_disk_leaves_the_old_file),
        cmocka_unit_test(files_that_are_missing_large_or_no_files_are_named),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(json_members_are_checked_and_named),
        cmocka_unit_test(json_that_is_none_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
