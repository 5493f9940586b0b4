/* src/model/hf_config: what transformers 4 and 5 write, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "model/safetensors/hf_config.h"

#define CORE                                                                                       \
    "\"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "                  \
    "\"intermediate_size\": 128, \"vocab_size\": 100"

static enum status parse(const char *text, struct model_config *config, struct error *err)
{
    memset(err, 0, sizeof *err);
    return hf_config_parse(config, text, strlen(text), "config.json", err);
}

static void expect_error(const char *text, enum status status, const char *what)
{
    struct model_config config;
    struct error err;
    assert_int_equal(parse(text, &config, &err), status);
    if (!strstr(err.what, what))
        fail_msg("\"%s\" is not in \"%s\"", what, err.what);
    assert_non_null(strstr(err.where, "config.json"));
    assert_string_not_equal(err.remedy, "");
}

static void the_least_has_defaults(void **state)
{
    (void)state;
    struct model_config config;
    struct error err;
    assert_int_equal(parse("{" CORE "}", &config, &err), STATUS_OK);
    assert_int_equal(config.kv_heads, 4);
    assert_int_equal(config.head_size, 16);
    assert_int_equal(config.context, 2048);
    assert_true(config.norm_eps == 1e-6f && config.rope_base == 10000.0f);
    assert_int_equal(config.rope.kind, ROPE_SCALING_NONE);
    assert_false(config.tied);
    assert_int_equal(config.bos, -1);
    assert_int_equal(config.eos_count, 0);
}

static void all_is_read(void **state)
{
    (void)state;
    struct model_config config;
    struct error err;
    const char *text = "{" CORE ", \"num_key_value_heads\": 2, \"head_dim\": 32, "
                       "\"max_position_embeddings\": 77, \"rms_norm_eps\": 1e-5, "
                       "\"rope_theta\": 500000, \"tie_word_embeddings\": true, "
                       "\"bos_token_id\": 7, \"eos_token_id\": [8, 9, -1], "
                       "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], "
                       "\"rope_scaling\": null, \"quantization_config\": null}";
    assert_int_equal(parse(text, &config, &err), STATUS_OK);
    assert_int_equal(config.kv_heads, 2);
    assert_int_equal(config.head_size, 32);
    assert_int_equal(config.context, 77);
    assert_true(config.norm_eps == 1e-5f && config.rope_base == 500000.0f && config.tied);
    assert_int_equal(config.bos, 7);
    assert_int_equal(config.eos_count, 2);
    assert_int_equal(config.eos[0], 8);
    assert_int_equal(config.eos[1], 9);
    assert_int_equal(config.eos[2], -1);
}

#define LLAMA3                                                                                     \
    "\"rope_type\": \"llama3\", \"factor\": 32, \"low_freq_factor\": 1, "                          \
    "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192"

static void both_generations_of_rope_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{" CORE ", \"rope_theta\": 500000.0, \"rope_scaling\": {" LLAMA3 "}}",
        "{" CORE ", \"rope_parameters\": {\"rope_theta\": 500000.0, " LLAMA3 "}}",
    };
    struct model_config config;
    struct error err;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(texts[i], &config, &err), STATUS_OK);
        assert_int_equal(config.rope.kind, ROPE_SCALING_LLAMA3);
        assert_true(config.rope_base == 500000.0f && config.rope.factor == 32.0f);
        assert_true(config.rope.low_freq_factor == 1.0f && config.rope.high_freq_factor == 4.0f);
        assert_int_equal(config.rope.original_context, 8192);
    }
    assert_int_equal(
        parse("{" CORE ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", &config, &err),
        STATUS_OK);
    assert_int_equal(config.rope.kind, ROPE_SCALING_LINEAR);
    assert_int_equal(
        parse("{" CORE ", \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 5e5}}",
              &config, &err),
        STATUS_OK);
    assert_int_equal(config.rope.kind, ROPE_SCALING_NONE);
    assert_true(config.rope_base == 500000.0f);
}

static void what_is_not_plain_llama_is_named(void **state)
{
    (void)state;
    enum status status = STATUS_UNSUPPORTED;
    expect_error("{\"model_type\": \"qwen2\"}", status, "\"model_type\" is qwen2");
    expect_error("{\"architectures\": [\"LlamaModel\"]}", status, "LlamaModel");
    expect_error("{" CORE ", \"attention_bias\": true}", status, "attention_bias");
    expect_error("{" CORE ", \"mlp_bias\": true}", status, "mlp_bias");
    expect_error("{" CORE ", \"hidden_act\": \"gelu\"}", status, "gelu");
    expect_error("{" CORE ", \"partial_rotary_factor\": 0.5}", status, "partial_rotary_factor");
    expect_error("{" CORE ", \"quantization_config\": {\"quant_method\": \"gptq\"}}", status,
                 "gptq");
    expect_error("{" CORE ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}", status,
                 "yarn");
    expect_error("{\"model_type\": \"a\\u001b[2Jb\"}", status, "a?[2Jb");
}

static void wrong_values_are_named(void **state)
{
    (void)state;
    enum status status = STATUS_FORMAT;
    expect_error("", status, "not valid JSON");
    expect_error("[]", status, "not an object");
    expect_error("{}", status, "hidden_size");
    expect_error("{\"hidden_size\": 0}", status, "\"hidden_size\" is 0");
    expect_error("{\"hidden_size\": 1e3}", status, "\"hidden_size\"");
    expect_error("{\"hidden_size\": 9223372036854775807}", status, "9223372036854775807");
    expect_error("{" CORE ", \"hidden_size\": 65}", status, "duplicate");
    expect_error("{" CORE ", \"num_key_value_heads\": 3}", status, "does not divide");
    expect_error("{" CORE ", \"num_key_value_heads\": 8}", status, "does not divide");
    expect_error("{" CORE ", \"head_dim\": 15}", status, "odd");
    expect_error("{" CORE ", \"rms_norm_eps\": 0}", status, "epsilon");
    expect_error("{" CORE ", \"rms_norm_eps\": 1e-300}", status, "epsilon");
    expect_error("{" CORE ", \"rope_theta\": -1}", status, "base");
    expect_error("{" CORE ", \"rope_theta\": 1e300}", status, "base");
    expect_error("{" CORE ", \"rope_scaling\": []}", status, "rope_scaling");
    expect_error("{" CORE ", \"rope_scaling\": {\"rope_type\": \"linear\"}}", status, "factor");
    expect_error("{" CORE ", \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}}", status,
                 "factor");
    expect_error("{" CORE ", \"bos_token_id\": 100}", status, "bos_token_id");
    expect_error("{" CORE ", \"eos_token_id\": [1, \"2\"]}", status, "eos_token_id");
    expect_error("{" CORE ", \"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9]}", status, "at most 8");
    expect_error("{\"hidden_size\": 65, \"num_attention_heads\": 4, \"num_hidden_layers\": 1}",
                 status, "num_attention_heads");
}

/* What transformers 4.47 computes for Llama 3.2 1B, from the 13th pair on, where scaling begins to
 * show. */
static const float llama_3_2_frequencies[32] = {
    [12] = 0.00729266507551074f,    [13] = 0.00483942124992609f,    [14] = 0.0032114461064338684f,
    [15] = 0.0012905480107292533f,  [16] = 0.000429556705057621f,   [17] = 9.708286233944818e-05f,
    [18] = 1.9461638657958247e-05f, [19] = 1.291476746700937e-05f,  [20] = 8.570255886297673e-06f,
    [21] = 5.687232260243036e-06f,  [22] = 3.7740544485131977e-06f, [23] = 2.504467147446121e-06f,
    [24] = 1.6619674170215148e-06f, [25] = 1.1028836297555245e-06f, [26] = 7.318749339901842e-07f,
    [27] = 4.856731266045244e-07f,  [28] = 3.2229328894572973e-07f, [29] = 2.1387423032592778e-07f,
    [30] = 1.4192720243499934e-07f, [31] = 9.418306490260875e-08f,
};

static void rope_frequencies_follow_the_scaling(void **state)
{
    (void)state;
    struct model model = {.config = {.head_size = 64, .rope_base = 500000}};
    float plain[32], scaled[32];
    model_rope_frequencies(&model, plain);
    assert_true(plain[0] == 1.0f);
    assert_float_equal(plain[16], 1 / sqrtf(500000), 1e-9);
    model.config.rope =
        (struct rope_scaling){ROPE_SCALING_LLAMA3, .factor = 32, .low_freq_factor = 1,
                              .high_freq_factor = 4, .original_context = 8192};
    model_rope_frequencies(&model, scaled);
    for (int i = 0; i < 12; i++)
        assert_true(scaled[i] == plain[i]);
    for (int i = 12; i < 32; i++)
        assert_true(fabsf(scaled[i] / llama_3_2_frequencies[i] - 1) < 1e-6f);
    model.config.rope = (struct rope_scaling){ROPE_SCALING_LINEAR, .factor = 2};
    model_rope_frequencies(&model, scaled);
    assert_true(scaled[0] == 0.5f);

    float divisors[32];
    for (int i = 0; i < 32; i++)
        divisors[i] = (float)(i + 1);
    model.rope_freqs = (struct tensor){.name = "rope_freqs.weight",
                                       .type = TENSOR_F32,
                                       .n_dims = 1,
                                       .dims = {32, 1, 1, 1},
                                       .data = divisors,
                                       .bytes = sizeof divisors};
    model.config.rope = (struct rope_scaling){0};
    model_rope_frequencies(&model, scaled);
    assert_true(scaled[0] == 1.0f);
    assert_float_equal(scaled[31], plain[31] / 32, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_has_defaults),
        cmocka_unit_test(all_is_read),
        cmocka_unit_test(both_generations_of_rope_are_read),
        cmocka_unit_test(what_is_not_plain_llama_is_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(rope_frequencies_follow_the_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
