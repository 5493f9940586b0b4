/* Forms of a variant: their names, back again, and who can take them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/form.h"

static const char *const cpu[] = {"cpu", NULL}, *const both[] = {"cpu", "cuda", NULL},
                         *const none[] = {NULL}, *const codes[] = {"int8", "nf4", NULL},
                         *const blocks[] = {"q8_0", NULL};

static struct engine_variant variants[] = {
    {.name = "demo",
     .precision = "float32",
     .devices = both,
     .quantize = none,
     .quantize_devices = both,
     .shard = none},
    {.name = "demo-half",
     .precision = "float16",
     .devices = both,
     .quantize = codes,
     .quantize_devices = cpu,
     .shard = both},
    {.name = "demo-both",
     .precision = "bfloat16",
     .devices = cpu,
     .quantize = codes,
     .quantize_devices = cpu,
     .quantize_sharded = true,
     .shard = cpu},
};
static struct engine engine = {.name = "demo", .variants = variants, .variant_count = 3};
static const struct engine_catalogue catalogue = {.engines = &engine, .count = 1};

static void expect_name(const char *name, size_t length, const char *quantize, uint32_t shard)
{
    struct arena arena = {0};
    struct engine_form form;
    assert_int_equal(form_parse(name, &form), length);
    assert_int_equal(form.shard, shard);
    assert_int_equal(form.quantize != NULL, quantize != NULL);
    if (quantize)
        assert_string_equal(form.quantize, quantize);
    char *base = arena_strndup(&arena, name, length);
    assert_string_equal(form_name(&arena, base, &form), name);
    arena_free(&arena);
}

static void names_go_there_and_back(void **state)
{
    (void)state;
    expect_name("native-f16", 10, NULL, 1);
    expect_name("native-f16+int8", 10, "int8", 1);
    expect_name("native-f16+shard2", 10, NULL, 2);
    expect_name("demo@2.14.0+nf4+shard1024", 11, "nf4", 1024);
    expect_name("demo@2.14.0+cpu+float16", 15, "float16", 1);
}

static void expect_plain(const char *name, size_t length)
{
    struct engine_form form;
    assert_int_equal(form_parse(name, &form), length);
    assert_true(form_is_plain(&form));
}

static void none_is_a_form_too(void **state)
{
    struct engine_form form;
    (void)state;
    expect_plain("vllm+none", 4);
    expect_plain("vllm@0.30.0+none", 11);
    assert_int_equal(form_parse("vllm+none+shard2", &form), 4);
    assert_int_equal(form.shard, 2);
    assert_null(form.quantize);
    expect_plain("none", 4);
    expect_plain("vllm+nones", 10);
}

static void what_is_no_form_stays_in_the_name(void **state)
{
    static const char *const names[] = {"",
                                        "demo+",
                                        "demo+int9",
                                        "demo+int88",
                                        "demo+shard",
                                        "demo+shard0",
                                        "demo+shard1",
                                        "demo+shard1025",
                                        "demo+shard22222",
                                        "demo+shard-2",
                                        "int8",
                                        "demo@2.15.0+cpu"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        expect_name(names[i], strlen(names[i]), NULL, 1);
}

static void expect_obstacle(size_t variant, const char *quantize, uint32_t shard,
                            const char *device, const char *expected)
{
    struct arena arena = {0};
    const struct engine_form form = {quantize, shard};
    const char *obstacle = form_obstacle(&catalogue, &variants[variant], &form, device, &arena);
    if (expected) {
        assert_non_null(obstacle);
        assert_string_equal(obstacle, expected);
    } else {
        assert_null(obstacle);
    }
    arena_free(&arena);
}

static void says_who_can(void **state)
{
    (void)state;
    expect_obstacle(0, NULL, 1, "cpu", NULL);
    expect_obstacle(1, "int8", 1, "cpu", NULL);
    expect_obstacle(1, "float16", 1, "cuda:1", NULL);
    expect_obstacle(2, "int8", 2, "cpu", NULL);
    expect_obstacle(1, "int8", 2, "cpu",
                    "it cannot be quantised and split at once; these can: demo-both");
    expect_obstacle(0, "int8", 1, "cpu",
                    "it cannot quantise to int8 on cpu; these can: demo-half, demo-both");
    expect_obstacle(0, "float16", 1, "cuda:1",
                    "it cannot quantise to float16 on cuda; these can: demo-half");
    expect_obstacle(1, "nf4", 1, "cuda", "it cannot quantise to nf4 on cuda; no engine here can");
    expect_obstacle(0, NULL, 4, "cuda",
                    "it cannot be split over 4 devices on cuda; these can: demo-half");
}

/* Another thing of 8 bits is asked for by the name of its own. */
static void q8_0_stands_in_for_int8(void **state)
{
    static const struct engine_variant other = {.name = "other",
                                                .precision = "float16",
                                                .devices = both,
                                                .quantize = blocks,
                                                .quantize_devices = cpu,
                                                .shard = none};
    const struct engine_form int8 = {"int8", 1}, q8_0 = {"q8_0", 1}, nf4 = {"nf4", 1};
    struct arena arena = {0};
    (void)state;
    assert_true(form_can(&other, &int8, "cpu") && form_can(&other, &q8_0, "cpu"));
    assert_false(form_can(&other, &nf4, "cpu") || form_can(&other, &int8, "cuda"));
    struct engine_form form = form_of(&other, &int8);
    assert_string_equal(form_name(&arena, "other", &form), "other+q8_0");
    form = form_of(&variants[1], &int8);
    assert_string_equal(form.quantize, "int8");
    assert_false(form_is_kept(&int8));
    assert_true(form_is_kept(&q8_0));
    expect_obstacle(1, "q8_0", 1, "cpu", "it cannot quantise to q8_0 on cpu; no engine here can");
    expect_name("other+q8_0+shard2", 5, "q8_0", 2);
    arena_free(&arena);
}

static void own_precision_is_no_form(void **state)
{
    const struct engine_form half = {"float16", 0};
    struct engine_form form = form_of(&variants[1], &half);
    (void)state;
    assert_true(form_is_plain(&form));
    assert_int_equal(form.shard, 1);
    form = form_of(&variants[0], &half);
    assert_string_equal(form.quantize, "float16");
}

static void titles_are_for_people(void **state)
{
    struct arena arena = {0};
    (void)state;
    const struct engine_form both_ways = {"int8", 2}, plain = {NULL, 1};
    assert_string_equal(form_title(&arena, "Demo", &both_ways), "Demo int8 x2");
    assert_string_equal(form_title(&arena, "Demo", &plain), "Demo");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(none_is_a_form_too),
        cmocka_unit_test(what_is_no_form_stays_in_the_name),
        cmocka_unit_test(says_who_can),
        cmocka_unit_test(q8_0_stands_in_for_int8),
        cmocka_unit_test(own_precision_is_no_form),
        cmocka_unit_test(titles_are_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
