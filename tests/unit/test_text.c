/* Text and numbers as reports print them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "report/number.h"
#include "report/text.h"

static void check_clean(const char *text, const char *expected)
{
    struct arena arena = {0};
    assert_string_equal(text_clean(&arena, text), expected);
    arena_free(&arena);
}

static void test_clean_neutralises(void **state)
{
    (void)state;
    check_clean(NULL, "");
    check_clean("PyTorch-Opt", "PyTorch-Opt");
    check_clean("naïve ± 速い 🚀", "naïve ± 速い 🚀");
    check_clean("a\nb\tc\rd", "a b c d");
    check_clean("\033[31mred\033[0m", "�[31mred�[0m");
    check_clean("\033]0;title\a", "�]0;title�");
    check_clean("c1 \xc2\x9b"
                "31m",
                "c1 �31m");
    check_clean("\x7f", "�");
    check_clean("right\xe2\x80\xae"
                "left",
                "right�left");
    check_clean("\xe2\x81\xa6isolate\xef\xbb\xbf", "�isolate�");
    check_clean("line\xe2\x80\xa8paragraph", "line paragraph");
    check_clean("join\xe2\x80\x8d"
                "er",
                "join\xe2\x80\x8d"
                "er");
}

static void test_clean_invalid_utf8(void **state)
{
    (void)state;
    check_clean("\xff\xfe", "��");
    check_clean("cut \xe2\x80", "cut ��");
    check_clean("cut \xf0\x9f\x9a", "cut ���");
    check_clean("overlong \xc0\xaf", "overlong ��");
    check_clean("overlong \xe0\x80\xaf", "overlong ���");
    check_clean("surrogate \xed\xa0\x80", "surrogate ���");
    check_clean("beyond \xf4\x90\x80\x80", "beyond ����");
    check_clean("\xc3(", "�(");
}

static void test_width(void **state)
{
    (void)state;
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("native-f16"), 10);
    assert_int_equal(text_width("±"), 1);
    assert_int_equal(text_width("速い"), 4);
    assert_int_equal(text_width("e\xcc\x81"), 1); /* e and a combining accent */
    assert_int_equal(text_width("🚀"), 2);
}

static void check_fit(const char *text, size_t width, const char *expected)
{
    struct arena arena = {0};
    const char *fitted = text_fit(&arena, text, width);
    assert_string_equal(fitted, expected);
    assert_true(text_width(fitted) <= width);
    arena_free(&arena);
}

static void test_fit(void **state)
{
    (void)state;
    check_fit("short", 5, "short");
    check_fit("engine-variant@1.2.3", 20, "engine-variant@1.2.3");
    check_fit("engine-variant@1.2.3", 12, "engin…@1.2.3");
    check_fit("速い速い速い", 9, "速い…速い");
    check_fit("速い速い速い", 8, "速…速い");
}

static void check_wrap(const char *text, size_t column, size_t indent, size_t width,
                       const char *expected)
{
    char *wrapped = NULL;
    size_t bytes;
    FILE *stream = open_memstream(&wrapped, &bytes);
    assert_non_null(stream);
    text_wrap(stream, text, column, indent, width);
    assert_int_equal(fclose(stream), 0);
    assert_string_equal(wrapped, expected);
    free(wrapped);
}

static void test_wrap(void **state)
{
    (void)state;
    check_wrap("", 0, 0, 20, "\n");
    check_wrap("one two three four", 0, 0, 9, "one two\nthree\nfour\n");
    check_wrap("one two three four", 4, 2, 13, "one two\n  three four\n");
    check_wrap("exactly ten", 0, 0, 11, "exactly ten\n");
    check_wrap("nearly 100 % of it", 0, 0, 10, "nearly\n100 % of\nit\n");
    check_wrap("  spaces   are one  ", 0, 0, 40, "spaces are one\n");
    check_wrap("abcdefghijklmnop", 0, 0, 10, "abcdefghij\nklmnop\n");
    check_wrap("in abcdefghijklmnop", 0, 0, 10, "in\nabcdefghij\nklmnop\n");
    check_wrap("12.29" TEXT_NBSP "ms or more", 0, 0, 8, "12.29 ms\nor more\n");
    check_wrap("速い速い速い速い", 0, 0, 9, "速い速い\n速い速い\n");
    /* Narrower than makes sense: it prints all the same. */
    check_wrap("one two", 0, 4, 1, "one two\n");
}

static void check_number(double value, int preferred, const char *expected)
{
    struct number number = number_format(value, number_decimals(value, preferred));
    assert_string_equal(number.text, expected);
}

static void test_numbers(void **state)
{
    (void)state;
    check_number(15.66, 2, "15.66");
    check_number(81.4, 1, "81.4");
    check_number(0.548, 2, "0.548");
    check_number(0.0123, 2, "0.0123");
    check_number(0.0000381, 2, "0.000038");
    check_number(0.00000001, 2, "0.000000");
    check_number(2.456, 1, "2.46");
    check_number(1234.56, 2, "1234.6");
    check_number(12345.67, 2, "12346");
    check_number(84.3, 0, "84");
    check_number(0.3, 0, "0");
    check_number(0, 2, "0.00");
    check_number(-12.345, 2, "-12.35");
    check_number(2.5e12, 1, "2.5e+12");
    check_number(1e308, 1, "1e+308");
    check_number(NAN, 2, "n/a");
    check_number(INFINITY, 2, "n/a");
}

static void test_ratios(void **state)
{
    (void)state;
    assert_string_equal(number_ratio(1.8993).text, "1.90x");
    assert_string_equal(number_ratio(9.994).text, "9.99x");
    assert_string_equal(number_ratio(9.996).text, "10.0x");
    assert_string_equal(number_ratio(99.96).text, "100x");
    assert_string_equal(number_ratio(733.2).text, "733x");
}

static void test_spreads(void **state)
{
    (void)state;
    const struct metric_info *ms = &metric_infos[METRIC_TPOT];
    struct estimate estimate = {true, 0.01229, 0.01215, 0.01241, 6, NULL, NULL};
    assert_string_equal(number_metric(&estimate, ms).text, "12.29");
    assert_string_equal(number_spread(&estimate, ms).text, "0.14"); /* the longer side */
    estimate.low = 0.01229 - 1e-9;
    estimate.high = 0.01229 + 1e-9;
    assert_string_equal(number_spread(&estimate, ms).text, "0.01"); /* never 0 */
    estimate.high = 0.0456789;
    assert_string_equal(number_spread(&estimate, ms).text, "33.4");
    estimate.high = 45.6789;
    assert_string_equal(number_spread(&estimate, ms).text, "45667");
    estimate.low = estimate.high = estimate.value;
    assert_string_equal(number_spread(&estimate, ms).text, "");
    estimate.known = false;
    assert_string_equal(number_metric(&estimate, ms).text, "n/a");
    assert_false(estimate_has_interval(&estimate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_neutralises),
        cmocka_unit_test(test_clean_invalid_utf8),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
