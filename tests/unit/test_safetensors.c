/* src/model/safetensors: the header must describe the file, and nothing but it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/model_bytes.h"
#include "model/safetensors/safetensors.h"

/* A file: the header (padded with spaces to 8) and so many bytes 0, 1, 2, ... */
static struct bytes make(const char *header, size_t data_bytes)
{
    struct bytes file = {0};
    size_t padding = (8 - strlen(header) % 8) % 8;
    bytes_put_u64(&file, strlen(header) + padding);
    bytes_put(&file, header, strlen(header));
    bytes_put(&file, "        ", padding);
    for (size_t i = 0; i < data_bytes; i++)
        bytes_put(&file, &(unsigned char){(unsigned char)i}, 1);
    return file;
}

static void expect_error(struct bytes file, enum status status, const char *what)
{
    struct safetensors parsed;
    struct error err = {0};
    assert_int_equal(safetensors_parse(&parsed, file.data, file.size, "test", &err), status);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" is not in \"%s\"", what, err.what);
    assert_non_null(strstr(err.where, "test"));
    assert_string_not_equal(err.remedy, "");
    bytes_free(&file);
}

static void a_file_is_read(void **state)
{
    (void)state;
    struct safetensors file;
    struct error err;
    float value;
    struct bytes bytes =
        make("{\"__metadata__\": {\"format\": \"pt\"},"
             "\"b\": {\"dtype\": \"BF16\", \"shape\": [2, 3], \"data_offsets\": [4, 16]},"
             "\"a\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [0, 4]}}",
             16);
    assert_int_equal(safetensors_parse(&file, bytes.data, bytes.size, "test", &err), STATUS_OK);
    assert_int_equal(file.tensor_count, 2);
    assert_string_equal(file.tensors[0].name, "b");
    assert_int_equal(file.tensors[0].type, TENSOR_BF16);
    assert_int_equal(tensor_rows(&file.tensors[0]), 2);
    assert_int_equal(tensor_columns(&file.tensors[0]), 3);
    assert_int_equal(((const unsigned char *)file.tensors[0].data)[0], 4);
    assert_int_equal(tensor_elements(&file.tensors[1]), 1);
    tensor_row_f32(&file.tensors[1], 0, &value);
    assert_memory_equal(&value, "\0\1\2\3", 4);
    safetensors_close(&file);
    for (size_t size = 0; size < bytes.size; size++) {
        void *copy = malloc(size ? size : 1);
        memcpy(copy, bytes.data, size);
        assert_int_equal(safetensors_parse(&file, copy, size, "short", &err), STATUS_FORMAT);
        free(copy);
    }
    bytes_free(&bytes);
}

static void headers_are_checked(void **state)
{
    (void)state;
    struct bytes file = {0};
    expect_error(file, STATUS_FORMAT, "the file is empty");
    bytes_put(&file, "\1\2\3", 3);
    expect_error(file, STATUS_FORMAT, "inside the length");
    file = (struct bytes){0};
    bytes_put_u64(&file, UINT64_MAX);
    expect_error(file, STATUS_FORMAT, "claims 18446744073709551615 bytes");
    expect_error(make("nonsense", 0), STATUS_FORMAT, "not valid JSON");
    expect_error(make("[1, 2]", 0), STATUS_FORMAT, "not an object");
    expect_error(make("{\"a\": 1}", 0), STATUS_FORMAT, "\"a\" is not an object");
    expect_error(make("{\"a\": {}, \"a\": {}}", 0), STATUS_FORMAT, "duplicate");
    expect_error(make("{\"\": {}}", 0), STATUS_FORMAT, "name");
    expect_error(make("{\"\\u001b\": {}}", 0), STATUS_FORMAT, "name");
}

/* A header with one tensor "t". */
static struct bytes one(const char *dtype, const char *shape, const char *offsets, size_t data)
{
    char header[256];
    snprintf(header, sizeof header, "{\"t\":{\"dtype\":%s,\"shape\":%s,\"data_offsets\":%s}}",
             dtype, shape, offsets);
    return make(header, data);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    enum status status = STATUS_FORMAT;
    expect_error(one("\"F64\"", "[1]", "[0,8]", 8), STATUS_UNSUPPORTED, "F32, F16 and BF16");
    expect_error(one("\"Q4_0\"", "[32]", "[0,18]", 18), STATUS_UNSUPPORTED, "F32, F16 and BF16");
    expect_error(one("32", "[1]", "[0,4]", 4), status, "dtype");
    expect_error(one("\"F32\"", "1", "[0,4]", 4), status, "shape");
    expect_error(one("\"F32\"", "[1,1,1,1,1]", "[0,4]", 4), status, "shape");
    expect_error(one("\"F32\"", "[0]", "[0,0]", 0), status, "positive integer");
    expect_error(one("\"F32\"", "[-1]", "[0,4]", 4), status, "positive integer");
    expect_error(one("\"F32\"", "[1.0]", "[0,4]", 4), status, "positive integer");
    expect_error(one("\"F32\"", "[4294967296,4294967296]", "[0,4]", 4), status, "overflow");
    expect_error(one("\"F32\"", "[9223372036854775807]", "[0,4]", 4), status, "overflow");
    expect_error(one("\"F32\"", "[1]", "[0]", 4), status, "data_offsets");
    expect_error(one("\"F32\"", "[1]", "[4,0]", 4), status, "data_offsets");
    expect_error(one("\"F32\"", "[1]", "[-4,0]", 4), status, "data_offsets");
    expect_error(one("\"F32\"", "[2]", "[0,8]", 4), status, "beyond the data");
    expect_error(one("\"F32\"", "[2]", "[0,4]", 4), status, "need 8");
    expect_error(one("\"F32\"", "[1]", "[4,8]", 8), status, "a hole");
    expect_error(one("\"F32\"", "[1]", "[0,4]", 8), status, "4 bytes at the end");
    expect_error(make("{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                      "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[2,6]}}",
                      6),
                 status, "an overlap");
    expect_error(make("{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
                      6),
                 STATUS_UNSUPPORTED, "not aligned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(tensors_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
