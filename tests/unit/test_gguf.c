/* src/model/gguf: every field of a file may lie, and each lie has its own error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "../support/model_bytes.h"
#include "model/gguf/gguf.h"

/* Parses and frees the bytes; expects an error that names the file, says what and what to do. */
static void expect_error(struct bytes file, enum status status, const char *what)
{
    struct gguf gguf;
    struct error err = {0};
    assert_int_equal(gguf_parse(&gguf, file.data, file.size, "test.gguf", &err), status);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" is not in \"%s\"", what, err.what);
    assert_non_null(strstr(err.where, "test.gguf"));
    assert_string_not_equal(err.remedy, "");
    bytes_free(&file);
}

static struct bytes header(uint32_t version, uint64_t tensors, uint64_t pairs)
{
    struct bytes file = {0};
    bytes_put(&file, "GGUF", 4);
    bytes_put_u32(&file, version);
    bytes_put_u64(&file, tensors);
    bytes_put_u64(&file, pairs);
    return file;
}

static void a_lying_header_is_refused(void **state)
{
    (void)state;
    struct bytes file = {0};
    expect_error(file, STATUS_FORMAT, "the file is empty");
    bytes_put(&file, "GGML\3\0\0\0", 8);
    expect_error(file, STATUS_FORMAT, "not a GGUF file");
    expect_error(header(1, 0, 0), STATUS_UNSUPPORTED, "GGUF version 1");
    expect_error(header(4, 0, 0), STATUS_UNSUPPORTED, "GGUF version 4");
    expect_error(header(3u << 24, 0, 0), STATUS_UNSUPPORTED, "big-endian");
    expect_error(header(3, UINT64_C(1) << 60, 0), STATUS_FORMAT, "1152921504606846976");
    expect_error(header(3, 0, UINT64_C(1) << 60), STATUS_FORMAT, "the number of metadata keys");
    expect_error(header(3, UINT64_MAX, UINT64_MAX), STATUS_FORMAT, "the number of tensors");
}

static void no_shorter_file_parses(void **state)
{
    (void)state;
    struct gguf_maker maker = {0};
    struct gguf gguf;
    struct error err;
    make_tiny(&maker);
    make_array(&maker, "strings", GGUF_STRING, 2);
    bytes_put_string(&maker.pairs, "one");
    bytes_put_string(&maker.pairs, "two");
    struct bytes file = gguf_made(&maker);
    assert_int_equal(gguf_parse(&gguf, file.data, file.size, "whole", &err), STATUS_OK);
    assert_int_equal(gguf.tensor_count, 11);
    gguf_close(&gguf);
    for (size_t size = 0; size < file.size; size++) {
        void *copy = malloc(size ? size : 1);
        memcpy(copy, file.data, size);
        assert_int_equal(gguf_parse(&gguf, copy, size, "short", &err), STATUS_FORMAT);
        free(copy);
    }
    bytes_free(&file);
}

static void names_are_checked(void **state)
{
    (void)state;
    struct gguf_maker maker = {0};
    make_u32(&maker, "twice", 1);
    make_u32(&maker, "twice", 2);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "the key \"twice\" occurs twice");

    make_u32(&maker, "", 1);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "the length of a key is 0");

    bytes_put_u64(&maker.pairs, 3);
    bytes_put(&maker.pairs, "a\0b\4\0\0\0\1\0\0\0", 11);
    maker.pair_count = 1;
    expect_error(gguf_made(&maker), STATUS_FORMAT, "0x00");

    bytes_put_u64(&maker.pairs, UINT64_MAX - 3);
    bytes_put(&maker.pairs, "key\4\0\0\0\1\0\0\0", 11);
    maker.pair_count = 1;
    expect_error(gguf_made(&maker), STATUS_FORMAT, "the length of a key is 18446744073709551612");

    make_tensor(&maker, "same", 0, 8);
    make_tensor(&maker, "same", 0, 8);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "the tensor \"same\" occurs twice");

    make_tensor(&maker, "a\033[2Jb", 0, 8);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "0x1b");
}

static void values_are_checked(void **state)
{
    (void)state;
    struct gguf_maker maker = {0};
    make_key(&maker, "key", 13);
    bytes_put_u64(&maker.pairs, 0);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "no value type 13");

    make_array(&maker, "key", GGUF_ARRAY, 1);
    expect_error(gguf_made(&maker), STATUS_UNSUPPORTED, "an array of arrays");

    make_array(&maker, "key", GGUF_U64, UINT64_C(1) << 61);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "an array's length is 2305843009213693952");

    make_array(&maker, "key", GGUF_STRING, 1);
    bytes_put_u64(&maker.pairs, UINT64_MAX);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "a string's length");

    make_key(&maker, "key", GGUF_BOOL);
    bytes_put(&maker.pairs, "\2", 1);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "a boolean is 2");

    make_u32(&maker, "general.alignment", 48);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "no power of two");
    make_u32(&maker, "general.alignment", 0);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "general.alignment is 0");
    make_string(&maker, "general.alignment", "32");
    expect_error(gguf_made(&maker), STATUS_FORMAT, "general.alignment is string");
}

/* One entry of the tensor list as given, with 64 bytes of data behind it. */
static struct bytes one_tensor(uint32_t n_dims, const uint64_t *dims, uint32_t type,
                               uint64_t offset)
{
    static const unsigned char zeros[64];
    struct gguf_maker maker = {0};
    make_entry(&maker, "t", n_dims, dims, type, offset);
    bytes_put(&maker.data, zeros, sizeof zeros);
    return gguf_made(&maker);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    const uint64_t none[5] = {0}, ones[5] = {1, 1, 1, 1, 1}, eight[1] = {8}, hole[2] = {8, 0};
    const uint64_t huge[4] = {UINT64_C(1) << 32, UINT64_C(1) << 32, 1, 1};
    const uint64_t large[1] = {UINT64_C(1) << 62};
    expect_error(one_tensor(0, none, 0, 0), STATUS_FORMAT, "has 0 dimensions");
    expect_error(one_tensor(5, ones, 0, 0), STATUS_FORMAT, "has 5 dimensions");
    expect_error(one_tensor(2, hole, 0, 0), STATUS_FORMAT, "dimension of 0");
    expect_error(one_tensor(4, huge, 0, 0), STATUS_FORMAT, "overflow");
    expect_error(one_tensor(1, large, 0, 0), STATUS_FORMAT, "overflow");
    expect_error(one_tensor(1, eight, 8, 0), STATUS_FORMAT, "whose blocks hold 32");
    expect_error(one_tensor(1, eight, 11, 0), STATUS_UNSUPPORTED, "Q3_K");
    expect_error(one_tensor(1, eight, 4, 0), STATUS_FORMAT, "unknown type 4");
    expect_error(one_tensor(1, eight, 1000, 0), STATUS_FORMAT, "unknown type 1000");
    expect_error(one_tensor(1, eight, 0, 8), STATUS_FORMAT, "no multiple of the alignment");
    expect_error(one_tensor(1, eight, 0, 64), STATUS_FORMAT, "beyond the end");
    expect_error(one_tensor(1, eight, 0, UINT64_MAX - 31), STATUS_FORMAT, "beyond the end");

    struct gguf_maker maker = {0};
    make_tensor(&maker, "a", 2, 8);
    make_entry(&maker, "b", 1, eight, 0, 32);
    expect_error(gguf_made(&maker), STATUS_FORMAT, "\"a\" and \"b\" overlap");
}

static void tensors_are_read(void **state)
{
    (void)state;
    struct gguf_maker maker = {0};
    struct gguf gguf;
    struct error err;
    float row[3];
    make_u32(&maker, "general.alignment", 64);
    make_tensor(&maker, "first", 0, 16);
    make_tensor(&maker, "second", 2, 3);
    struct bytes file = gguf_made(&maker);
    file.data[4] = 2; /* version 2 has the same layout */
    size_t end = file.size - 6 * sizeof(float);
    assert_int_equal(end % 32, 0);
    struct bytes moved = {0}; /* to the alignment of 64 that the file asks for */
    size_t start = end - 16 * sizeof(float);
    bytes_put(&moved, file.data, start);
    bytes_pad(&moved, 64);
    bytes_put(&moved, file.data + start, file.size - start);
    assert_int_equal(gguf_parse(&gguf, moved.data, moved.size, "test", &err), STATUS_OK);
    assert_int_equal(gguf.version, 2);
    assert_int_equal(gguf.alignment, 64);
    const struct tensor *second = gguf_find_tensor(&gguf, "second");
    assert_int_equal(tensor_rows(second), 2);
    assert_int_equal(tensor_columns(second), 3);
    assert_int_equal(second->bytes, 24);
    tensor_row_f32(second, 1, row);
    assert_true(row[0] == 1.375f && row[1] == 1.5f && row[2] == 1.0f);
    assert_null(gguf_find_tensor(&gguf, "third"));
    gguf_close(&gguf);
    bytes_free(&file);
    bytes_free(&moved);
}

static void values_are_read(void **state)
{
    (void)state;
    static const struct {
        enum gguf_type type;
        const char *bytes;
        size_t size;
        int64_t value;
    } ints[] = {
        {GGUF_U8, "\xff", 1, 255},
        {GGUF_I8, "\xff", 1, -1},
        {GGUF_U16, "\xfe\xff", 2, 65534},
        {GGUF_I16, "\xfe\xff", 2, -2},
        {GGUF_U32, "\xfe\xff\xff\xff", 4, 4294967294},
        {GGUF_I32, "\xfe\xff\xff\xff", 4, -2},
        {GGUF_I64, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8, -2},
        {GGUF_U64, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8, INT64_MAX},
    };
    struct gguf_maker maker = {0};
    struct gguf gguf;
    struct error err;
    char key[16];
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        snprintf(key, sizeof key, "int.%zu", i);
        make_key(&maker, key, ints[i].type);
        bytes_put(&maker.pairs, ints[i].bytes, ints[i].size);
    }
    double wide = 0.25;
    make_key(&maker, "wide", GGUF_F64);
    bytes_put(&maker.pairs, &wide, sizeof wide);
    make_f32(&maker, "nan", NAN);
    make_key(&maker, "yes", GGUF_BOOL);
    bytes_put(&maker.pairs, "\1", 1);
    make_string(&maker, "text", "llama");
    make_array(&maker, "ints", GGUF_I16, 2);
    bytes_put(&maker.pairs, "\1\0\xff\xff", 4);
    make_array(&maker, "texts", GGUF_STRING, 2);
    bytes_put_string(&maker.pairs, "");
    bytes_put_string(&maker.pairs, "two");
    struct bytes file = gguf_made(&maker);
    assert_int_equal(gguf_parse(&gguf, file.data, file.size, "test", &err), STATUS_OK);

    int64_t number;
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        snprintf(key, sizeof key, "int.%zu", i);
        assert_int_equal(gguf_get_int(&gguf, key, INT64_MIN, INT64_MAX, &number, &err), 0);
        assert_int_equal(number, ints[i].value);
    }
    assert_int_equal(gguf_get_int(&gguf, "int.0", 0, 254, &number, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.what, "int.0 is 255; it should be between 0 and 254"));
    assert_int_equal(gguf_get_int(&gguf, "text", 0, 9, &number, &err), STATUS_FORMAT);
    assert_int_equal(gguf_get_int(&gguf, "ints", 0, 9, &number, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.what, "an array of i16"));
    assert_int_equal(gguf_get_int(&gguf, "none", 0, 9, &number, &err), STATUS_FORMAT);
    assert_int_equal(gguf_get_int_or(&gguf, "none", 0, 9, 77, &number, &err), STATUS_OK);
    assert_int_equal(number, 77);

    double real;
    bool yes;
    assert_int_equal(gguf_get_number(&gguf, "wide", &real, &err), STATUS_OK);
    assert_true(real == 0.25);
    assert_int_equal(gguf_get_number(&gguf, "nan", &real, &err), STATUS_FORMAT);
    assert_int_equal(gguf_get_bool_or(&gguf, "yes", false, &yes, &err), STATUS_OK);
    assert_true(yes);
    assert_int_equal(gguf_get_bool_or(&gguf, "text", false, &yes, &err), STATUS_FORMAT);

    struct gguf_string text;
    const struct gguf_value *array;
    assert_int_equal(gguf_get_string(&gguf, "text", &text, &err), STATUS_OK);
    assert_true(gguf_string_equals(text, "llama"));
    assert_false(gguf_string_equals(text, "llamas"));
    assert_int_equal(gguf_get_string_or_null(&gguf, "none", &text, &err), STATUS_OK);
    assert_null(text.data);
    assert_int_equal(gguf_get_ints(&gguf, "ints", &array, &err), STATUS_OK);
    assert_int_equal(array->count, 2);
    assert_int_equal(gguf_int_at(array, 1), -1);
    assert_int_equal(gguf_get_ints(&gguf, "texts", &array, &err), STATUS_FORMAT);
    assert_int_equal(gguf_get_numbers(&gguf, "ints", &array, &err), STATUS_FORMAT);
    assert_int_equal(gguf_get_strings(&gguf, "texts", &array, &err), STATUS_OK);
    struct gguf_walk walk = gguf_walk_start(array);
    assert_true(gguf_walk_next(&walk, &text) && text.bytes == 0);
    assert_true(gguf_walk_next(&walk, &text) && gguf_string_equals(text, "two"));
    assert_false(gguf_walk_next(&walk, &text));
    gguf_close(&gguf);
    bytes_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lying_header_is_refused), cmocka_unit_test(no_shorter_file_parses),
        cmocka_unit_test(names_are_checked),         cmocka_unit_test(values_are_checked),
        cmocka_unit_test(tensors_are_checked),       cmocka_unit_test(tensors_are_read),
        cmocka_unit_test(values_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
