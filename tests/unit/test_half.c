/* src/model/half.h and quant: conversions, exhaustively where that is possible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "model/half.h"
#include "model/quant.h"

static void halves_come_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        float value = half_to_float((uint16_t)i);
        if ((i & 0x7fff) > 0x7c00)
            assert_true(isnan(value) && isnan(half_to_float(half_from_float(value))));
        else
            assert_int_equal(half_from_float(value), i);
    }
    assert_true(half_to_float(0x3c00) == 1.0f && half_to_float(0xc000) == -2.0f);
    assert_true(half_to_float(0x0001) == 0x1p-24f && half_to_float(0x7bff) == 65504.0f);
    assert_true(half_to_float(0xfc00) == -INFINITY);
}

/* Between two neighbours: the middle goes to the even one, its float32 neighbours to the nearer. */
static void check_between(uint16_t low, uint16_t high, float middle, uint16_t (*narrow)(float))
{
    uint16_t even = low & 1 ? high : low;
    assert_int_equal(narrow(middle), even);
    assert_int_equal(narrow(-middle), even | 0x8000);
    assert_int_equal(narrow(nextafterf(middle, 0)), low);
    assert_int_equal(narrow(nextafterf(middle, INFINITY)), high);
}

static void halves_round_to_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7bff; i++) {
        float low = half_to_float((uint16_t)i), high = half_to_float((uint16_t)(i + 1));
        check_between((uint16_t)i, (uint16_t)(i + 1), (low + high) / 2, half_from_float);
    }
    check_between(0x7bff, 0x7c00, 65520.0f, half_from_float);
    assert_int_equal(half_from_float(INFINITY), 0x7c00);
    assert_int_equal(half_from_float(1e30f), 0x7c00);
    assert_int_equal(half_from_float(-0.0f), 0x8000);
    assert_int_equal(half_from_float(0x1p-149f), 0);
}

static void bfloats_round_to_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7f80; i++) {
        assert_int_equal(bfloat_from_float(bfloat_to_float((uint16_t)i)), i);
        float middle = float_from_bits(i << 16 | 0x8000);
        check_between((uint16_t)i, (uint16_t)(i + 1), middle, bfloat_from_float);
    }
    assert_int_equal(bfloat_from_float(INFINITY), 0x7f80);
    assert_true(isnan(bfloat_to_float(bfloat_from_float(float_from_bits(0x7f800001)))));
    assert_true(isnan(bfloat_to_float(bfloat_from_float(float_from_bits(0xffffffff)))));
}

/* One block of each format with d = 2 (and m or dmin = 1), all other bytes the same. */
static void blocks_have_the_documented_values(void **state)
{
    (void)state;
    static const struct {
        enum tensor_type type;
        int scale_at, second_at; /* byte offsets; -1: none */
        unsigned char fill;
        float first, last;
    } cases[] = {
        {TENSOR_Q4_0, 0, -1, 0xf1, (1 - 8) * 2, (15 - 8) * 2},
        {TENSOR_Q4_1, 0, 2, 0xf1, 1 * 2 + 1, 15 * 2 + 1},
        /* the fifth bits 0xf1: set for weight 0 and for 31 */
        {TENSOR_Q5_0, 0, -1, 0xf1, (17 - 16) * 2, (31 - 16) * 2},
        {TENSOR_Q5_1, 0, 2, 0xf1, 17 * 2 + 1, 31 * 2 + 1},
        {TENSOR_Q8_0, 0, -1, 0xfe, -4, -4},
        /* scale and minimum of group 0: 0x31; of group 7: 1 | 3 << 4 and 15 | 3 << 4 */
        {TENSOR_Q4_K, 0, 2, 0xf1, 2 * 49 * 1 - 49, 2 * 49 * 15 - 63},
        {TENSOR_Q5_K, 0, 2, 0xf1, 2 * 49 * 17 - 49, 2 * 49 * 31 - 63},
        /* top bits of group 0: 1, of group 7: 3; scales -15 */
        {TENSOR_Q6_K, 208, -1, 0xf1, -15 * 2 * (17 - 32), -15 * 2 * (63 - 32)},
    };
    static const unsigned char two[] = {0x00, 0x40}, one[] = {0x00, 0x3c}; /* in F16 */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char block[256];
        float out[256];
        uint32_t count = tensor_type_block(cases[i].type);
        memset(block, cases[i].fill, sizeof block);
        memcpy(block + cases[i].scale_at, two, sizeof two);
        if (cases[i].second_at >= 0)
            memcpy(block + cases[i].second_at, one, sizeof one);
        quant_to_f32(cases[i].type, block, count, out);
        if (out[0] != cases[i].first || out[count - 1] != cases[i].last)
            fail_msg("%s: %g and %g", tensor_type_name(cases[i].type), (double)out[0],
                     (double)out[count - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_come_back),
        cmocka_unit_test(halves_round_to_even),
        cmocka_unit_test(bfloats_round_to_even),
        cmocka_unit_test(blocks_have_the_documented_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
