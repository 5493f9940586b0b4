/* Writing models: rounding, the order of rows, rope factors, the made-up vocabulary, shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/layout.h"
#include "model/model_write.h"
#include "model/narrow.h"
#include "model/rope_factors.h"
#include "model/synthetic.h"
#include "model/tokenizer/pretokenizer_json.h"
#include "model/tokenizer/token_list.h"

static void narrowing_says_what_does_not_fit(void **state)
{
    (void)state;
    static const struct {
        float value;
        bool half, bfloat;
    } cases[] = {
        {0, true, true},        {-1.5F, true, true},       {65504, true, true},
        {65519.9F, true, true}, {65520, false, true},      {-65520, false, true},
        {1e30F, false, true},   {3.3895e38F, false, true}, {3.4028e38F, false, false},
        {INFINITY, true, true}, {-INFINITY, true, true},   {NAN, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float in[3] = {1, cases[i].value, 1}, same[3];
        uint16_t out[3];
        assert_int_equal(narrow(in, 3, TENSOR_F16, out), cases[i].half);
        assert_int_equal(out[0], 0x3c00);
        assert_int_equal(narrow(in, 3, TENSOR_BF16, out), cases[i].bfloat);
        assert_int_equal(out[2], 0x3f80);
        assert_true(narrow(in, 3, TENSOR_F32, same));
        assert_memory_equal(in, same, sizeof in);
    }
}

static void rows_go_to_gguf_and_back(void **state)
{
    (void)state;
    /* A head of 6 as halves 0 1 2 | 3 4 5 becomes the pairs 0 3, 1 4, 2 5. */
    static const uint64_t expected[] = {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11};
    for (uint64_t row = 0; row < 12; row++) {
        assert_int_equal(layout_row_from_gguf(row, 6), expected[row]);
        assert_int_equal(layout_row_to_gguf(expected[row], 6), row);
    }
}

static uint64_t count_parameters(const struct model_config *config, enum model_format format)
{
    struct arena arena = {0};
    struct weight *weights;
    size_t count;
    uint64_t parameters = 0;
    assert_true(layout_weights(&arena, config, format, TENSOR_F16, false, &weights, &count));
    for (size_t i = 0; i < count; i++)
        parameters += weights[i].rows * weights[i].columns;
    arena_free(&arena);
    return parameters;
}

static void sizes_have_the_real_number_of_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        uint64_t parameters;
    } sizes[] = {
        {"1b", 1235814400}, {"8b", 8030261248}, {"70b", 70553706496}, {"405b", 405853388800}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct model_config config;
        struct error err;
        assert_true(synthetic_shape(sizes[i].size, &config));
        assert_int_equal(synthetic_check(&config, &err), STATUS_OK);
        assert_int_equal(count_parameters(&config, MODEL_GGUF), sizes[i].parameters);
        assert_int_equal(count_parameters(&config, MODEL_SAFETENSORS), sizes[i].parameters);
    }
    struct model_config config;
    assert_false(synthetic_shape("3b", &config));
}

static void rope_factors_are_explained(void **state)
{
    (void)state;
    static const struct {
        uint32_t head_size, original;
        float base, factor;
    } cases[] = {{64, 8192, 500000, 32}, {128, 8192, 500000, 8}, {16, 64, 10000, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config config = {.head_size = cases[i].head_size, .rope_base = cases[i].base};
        struct rope_scaling rope = {ROPE_SCALING_LLAMA3, cases[i].factor, 1, 4, cases[i].original};
        float factors[64];
        config.rope = rope;
        rope_factors_make(&config, factors);
        assert_true(factors[0] == 1);
        assert_true(factors[config.head_size / 2 - 1] == cases[i].factor);
        config.rope = (struct rope_scaling){0};
        assert_true(rope_factors_explain(&config, factors));
        assert_memory_equal(&config.rope, &rope, sizeof rope);

        config.rope = (struct rope_scaling){0};
        factors[config.head_size / 4] *= 1.01F;
        assert_false(rope_factors_explain(&config, factors));
        factors[0] = NAN;
        assert_false(rope_factors_explain(&config, factors));
        assert_int_equal(config.rope.kind, ROPE_SCALING_NONE);
    }
}

/* Each merge joins two tokens that are there before the token it makes. */
static void check_merges(const struct token_list *list)
{
    uint32_t first = list->count - list->merge_count;
    while (list->types[first - 1 + list->merge_count] == TOKEN_CONTROL)
        first--;
    assert_int_equal(first, 256);
    for (uint32_t i = 0; i < list->merge_count; i++) {
        const char *space = strchr(list->merges[i], ' ');
        char joined[64];
        assert_non_null(space);
        snprintf(joined, sizeof joined, "%.*s%s", (int)(space - list->merges[i]), list->merges[i],
                 space + 1);
        assert_string_equal(joined, list->tokens[first + i]);
    }
}

static void vocabulary_fills_any_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t count;
        int32_t bos, eot;
    } cases[] = {{288, 272, 281}, {1023, 1007, 1016}, {1024, 768, 777}, {128256, 128000, 128009}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct token_list list;
        struct error err;
        assert_int_equal(token_list_make(&list, &arena, cases[i].count, &err), STATUS_OK);
        assert_int_equal(list.count, cases[i].count);
        assert_int_equal(list.bos, cases[i].bos);
        assert_int_equal(list.eos, cases[i].eot);
        assert_string_equal(list.tokens[list.eot], "<|eot_id|>");
        assert_int_equal(list.types[list.bos - 1], TOKEN_NORMAL);
        assert_string_equal(list.tokens[0], "!");
        check_merges(&list);
        arena_free(&arena);
    }
    struct arena arena = {0};
    struct token_list list;
    struct error err;
    assert_int_equal(token_list_make(&list, &arena, 287, &err), STATUS_USAGE);
    arena_free(&arena);
}

static void pretokenizers_are_spelt_and_read(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "smollm", "llama-bpe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *json = pretokenizer_to_json(names[i]);
        assert_string_equal(pretokenizer_from_json(json), names[i]);
        json_decref(json);
    }
    assert_null(pretokenizer_to_json("qwen2"));
    static const char *const others[] = {
        "null",
        "{}",
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}",
        "{\"type\": \"Sequence\", \"pretokenizers\": []}",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, {\"type\": "
        "\"ByteLevel\"}]}",
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
        "{\"Regex\": \"a\"}}, {\"type\": \"ByteLevel\", \"use_regex\": false}]}",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        json_t *json = json_loads(others[i], JSON_DECODE_ANY, NULL);
        assert_non_null(json);
        assert_null(pretokenizer_from_json(json));
        json_decref(json);
    }
}

static void the_name_decides_the_format(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
        enum status status;
        enum model_format format;
    } cases[] = {
        {"a.gguf", NULL, STATUS_OK, MODEL_GGUF},
        {"a", NULL, STATUS_OK, MODEL_SAFETENSORS},
        {"a.b/", NULL, STATUS_OK, MODEL_SAFETENSORS},
        {"a", "gguf", STATUS_OK, MODEL_GGUF},
        {"a.gguf", "gguf", STATUS_OK, MODEL_GGUF},
        {"a", "safetensors", STATUS_OK, MODEL_SAFETENSORS},
        {"a.gguf", "safetensors", STATUS_USAGE, MODEL_SAFETENSORS},
        {"a.safetensors", NULL, STATUS_USAGE, MODEL_SAFETENSORS},
        {"/tmp", "gguf", STATUS_USAGE, MODEL_GGUF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum model_format format;
        struct error err;
        assert_int_equal(model_output_format(cases[i].path, cases[i].name, &format, &err),
                         cases[i].status);
        assert_int_equal(format, cases[i].format);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(narrowing_says_what_does_not_fit),
        cmocka_unit_test(rows_go_to_gguf_and_back),
        cmocka_unit_test(sizes_have_the_real_number_of_parameters),
        cmocka_unit_test(rope_factors_are_explained),
        cmocka_unit_test(vocabulary_fills_any_size),
        cmocka_unit_test(pretokenizers_are_spelt_and_read),
        cmocka_unit_test(the_name_decides_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
