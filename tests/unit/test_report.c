/* Reports against golden files: tests/golden/NAME. PRONY_GOLDEN_UPDATE=1 writes them anew; look at
 * each before it is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "report/report.h"
#include "report_fixture.h"

static const struct fixture_variant three[] = {{"native-f32", "native", "float32", 1},
                                               {"native-f16", "native", "float16", 1.9},
                                               {"native-bf16", "native", "bfloat16", 1.87}};
static const struct fixture_variant one_failed[] = {{"pytorch-base", "pytorch", "float32", 0.9},
                                                    {"broken", "broken", "float16", 0},
                                                    {"native-f16", "native", "float16", 1.9}};
static const struct fixture_variant many[] = {{"tinygrad", "tinygrad", "mixed", 0.06},
                                              {"tinygrad-beam@0.14.0", "tinygrad", "mixed", 0.5},
                                              {"pytorch-base", "pytorch", "float32", 0.9},
                                              {"pytorch-opt", "pytorch", "float16", 1.9},
                                              {"native-f32", "native", "float32", 1},
                                              {"native-f16", "native", "float16", 1.9},
                                              {"ollama", "ollama", "float16", 1.7},
                                              {"llamacpp", "llamacpp", "float16", 1.88},
                                              {"onnxruntime-opt", "onnxruntime", "float16", 44}};
enum { THREE = 3, MANY = sizeof many / sizeof many[0] };

typedef enum status writer_function(const struct summary *, const struct report_options *, FILE *,
                                    struct error *);

static char *written(writer_function *write, const struct summary *summary,
                     const struct report_options *options)
{
    struct error err;
    char *text = NULL;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    assert_int_equal(write(summary, options, stream, &err), STATUS_OK);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void check_golden(writer_function *write, const struct summary *summary,
                         const struct report_options *options, const char *name)
{
    char path[512];
    struct error err;
    char *text = written(write, summary, options), *golden;
    size_t bytes;
    snprintf(path, sizeof path, "%s/golden/%s", TEST_DATA, name);
    if (getenv("PRONY_GOLDEN_UPDATE")) {
        struct file_writer writer;
        assert_int_equal(file_writer_open(&writer, path, &err), STATUS_OK);
        fputs(text, writer.stream);
        assert_int_equal(file_writer_commit(&writer, &err), STATUS_OK);
    }
    assert_int_equal(file_read(path, 1 << 20, &golden, &bytes, &err), STATUS_OK);
    assert_string_equal(text, golden);
    free(golden);
    free(text);
}

static const struct report_options columns_80 = {.width = 80}, columns_200 = {.width = 200},
                                   wide_80 = {.width = 80, .wide = true};

static void test_three_variants(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, three, THREE, 10);
    check_golden(report_print, &fixture->summary, &columns_80, "three.txt");
    check_golden(report_print, &fixture->summary, &wide_80, "three-wide.txt");
    check_golden(report_print, &fixture->summary, &columns_200, "three-200.txt");
}

static void test_one_failed(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, one_failed, THREE, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "failed.txt");
}

static void test_one_block(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, three, THREE, 1);
    check_golden(report_print, &fixture->summary, &columns_80, "one-block.txt");
}

static void test_three_blocks(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, three, THREE, 3);
    check_golden(report_print, &fixture->summary, &columns_80, "three-blocks.txt");
}

static void test_one_variant(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, &three[1], 1, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "one-variant.txt");
}

static void test_many_variants(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, many, MANY, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "many.txt");
    check_golden(report_print, &fixture->summary, &columns_200, "many-200.txt");
    check_golden(report_print, &fixture->summary, &wide_80, "many-wide.txt");
}

static void test_nothing_measured(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, &one_failed[1], 1, 6);
    fixture->summary.blocks = 0;
    check_golden(report_print, &fixture->summary, &columns_80, "nothing.txt");
}

static int setup(void **state)
{
    *state = malloc(sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_variants),   cmocka_unit_test(test_one_failed),
        cmocka_unit_test(test_one_block),        cmocka_unit_test(test_three_blocks),
        cmocka_unit_test(test_one_variant),      cmocka_unit_test(test_many_variants),
        cmocka_unit_test(test_nothing_measured),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
