/* Which models may be quantised on load. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/quantisable.h"

static struct model_layer layer = {.wq = {.name = "q", .type = TENSOR_BF16},
                                   .w_down = {.name = "down", .type = TENSOR_F16}};

static struct model model_make(void)
{
    return (struct model){.path = "m.gguf",
                          .layer = &layer,
                          .config = {.layers = 1,
                                     .hidden_size = 128,
                                     .ffn_size = 192,
                                     .heads = 2,
                                     .head_size = 64,
                                     .tied = true}};
}

static void takes_numbers(void **state)
{
    struct model model = model_make();
    struct error err;
    (void)state;
    assert_int_equal(model_check_quantize(&model, "int8", &err), STATUS_OK);
    assert_int_equal(model_check_quantize(&model, "nf4", &err), STATUS_OK);
    assert_int_equal(model_check_quantize(&model, "float16", &err), STATUS_OK);
}

static void refuses_blocks(void **state)
{
    static const char *const words[] = {"int8", "nf4", "float16", "q8_0"};
    struct model model = model_make();
    struct error err;
    (void)state;
    layer.w_down.type = TENSOR_Q8_0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(model_check_quantize(&model, words[i], &err), STATUS_UNSUPPORTED);
        assert_non_null(strstr(err.what, "\"down\" is Q8_0"));
        assert_string_equal(err.where, "m.gguf");
        assert_non_null(strstr(err.remedy, "--quantize"));
    }
    layer.w_down.type = TENSOR_F16;
}

static void blocks_are_whole(void **state)
{
    struct model model = model_make();
    struct error err;
    (void)state;
    model.config.ffn_size = 200;
    assert_int_equal(model_check_quantize(&model, "int8", &err), STATUS_OK);
    assert_int_equal(model_check_quantize(&model, "q8_0", &err), STATUS_UNSUPPORTED);
    assert_non_null(
        strstr(err.what, "q8_0 has blocks of 32 weights, and the model has rows of 200"));
    assert_int_equal(model_check_quantize(&model, "nf4", &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.what, "rows of 200"));
    model.config.ffn_size = 224;
    assert_int_equal(model_check_quantize(&model, "q8_0", &err), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_numbers),
        cmocka_unit_test(refuses_blocks),
        cmocka_unit_test(blocks_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
