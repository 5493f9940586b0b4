/* Models without a file: the same weights as those of a file, and names that say what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../support/temporary.h"
#include "llama/cpu/kernels.h"
#include "llama/llama.h"
#include "llama/row.h"
#include "model/narrow.h"
#include "model/synthetic.h"
#include "model/tensor_walk.h"

static void opened(struct model *model, const char *path)
{
    struct error err;
    if (model_open(model, path, &err))
        fail_msg("%s (%s)", err.what, err.where);
}

static void file_make(const char *name, uint64_t seed)
{
    struct model_config config;
    struct error err;
    struct model_output output = {.path = temporary_path(name),
                                  .format = MODEL_SAFETENSORS,
                                  .precision = TENSOR_F16,
                                  .threads = 1};
    assert_true(synthetic_shape("tiny", &config));
    assert_int_equal(synthetic_write(&config, name, seed, &output, NULL, &err), STATUS_OK);
}

static void weights_are_those_of_the_file(void **state)
{
    (void)state;
    struct model file, made;
    const struct tensor *a, *b;
    float row[256];
    uint16_t narrowed[256];
    file_make("three", 3);
    opened(&file, temporary_path("three"));
    opened(&made, "synthetic:tiny:3");
    assert_int_equal(made.parameters, file.parameters);
    assert_int_equal(made.weight_bytes, file.weight_bytes);
    for (uint64_t i = 0; (a = model_tensor(&file, i)); i++) {
        b = model_tensor(&made, i);
        assert_non_null(b);
        assert_string_equal(b->name, a->name);
        assert_int_equal(tensor_rows(b), tensor_rows(a));
        assert_int_equal(tensor_columns(b), tensor_columns(a));
        for (uint64_t r = 0; r < tensor_rows(a); r++) {
            tensor_row_f32(b, r, row);
            assert_true(narrow(row, tensor_columns(b), TENSOR_F16, narrowed));
            assert_memory_equal(narrowed, (const uint16_t *)a->data + r * tensor_columns(a),
                                2 * tensor_columns(a));
        }
    }
    assert_null(model_tensor(&made, 21));
    model_close(&file);
    model_close(&made);
}

/* The values of a seed are the same for ever: stored figures and hashes are of them. */
static void weights_are_what_they_have_always_been(void **state)
{
    (void)state;
    struct model model;
    const struct tensor *tensor;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    float row[256];
    opened(&model, "synthetic:tiny:3");
    for (uint64_t i = 0; (tensor = model_tensor(&model, i)); i++)
        for (uint64_t r = 0; r < tensor_rows(tensor); r++) {
            tensor_row_f32(tensor, r, row);
            const unsigned char *bytes = (const unsigned char *)row;
            for (size_t b = 0; b < tensor_columns(tensor) * sizeof *row; b++)
                hash = (hash ^ bytes[b]) * 0x100000001b3;
        }
    assert_true(hash == 0x2364a1dec66f98a6);
    model_close(&model);
}

/* Any columns of a row, by any kernels, made up or from a file. */
static void parts_of_rows_are_those_of_the_whole(void **state)
{
    static const struct part parts[] = {{0, 64}, {0, 1}, {5, 64}, {16, 48}, {31, 50}, {63, 64}};
    (void)state;
    const struct kernels *kernels;
    float whole[256], some[256];
    file_make("five", 5);
    for (int file = 0; file < 2; file++) {
        struct model model;
        opened(&model, file ? temporary_path("five") : "synthetic:tiny:5");
        const struct tensor *tensors[] = {&model.embedding, &model.layer[1].wk,
                                          &model.layer[1].attn_norm};
        for (size_t k = 0; (kernels = kernels_at(k)); k++)
            for (size_t i = 0; i < 3 * sizeof parts / sizeof *parts; i++) {
                const struct tensor *tensor = tensors[i % 3];
                struct part part = parts[i / 3];
                uint64_t row = tensor_rows(tensor) - 1;
                tensor_row_f32(tensor, row, whole);
                row_f32(kernels, tensor, row, part, some);
                assert_memory_equal(some + part.begin, whole + part.begin,
                                    (part.end - part.begin) * sizeof *some);
            }
        model_close(&model);
    }
}

static void logits_of(const char *path, float *logits)
{
    static const int32_t ids[] = {5, 300, 17, 404};
    const struct llama_options options = {.precision = LLAMA_F16, .context = 16, .threads = 2};
    struct model model;
    struct llama *llama;
    struct error err;
    opened(&model, path);
    assert_int_equal(llama_load(&llama, &model, &options, &err), STATUS_OK);
    assert_int_equal(llama_forward(llama, ids, 4, logits, 0, &err), STATUS_OK);
    llama_free(llama);
    model_close(&model);
}

static void the_native_engine_computes_the_same(void **state)
{
    (void)state;
    static float from_file[512], made[512], other[512];
    file_make("seven", 7);
    logits_of(temporary_path("seven"), from_file);
    logits_of("synthetic:tiny:7", made);
    assert_memory_equal(made, from_file, sizeof made);
    logits_of("synthetic:llama3-tiny", other);
    assert_memory_not_equal(other, made, sizeof made);
}

static void a_name_is_a_model(void **state)
{
    (void)state;
    struct model model;
    struct error err;
    char one[65], two[65], again[65];
    size_t count;
    opened(&model, "synthetic:tiny");
    model_paths(&model, &count);
    assert_int_equal(count, 0);
    assert_int_equal(model_hash(&model, one, &err), STATUS_OK);
    assert_int_equal(model_hash(&model, again, &err), STATUS_OK);
    model_close(&model);
    opened(&model, "synthetic:tiny:2");
    assert_int_equal(model_hash(&model, two, &err), STATUS_OK);
    model_close(&model);
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);

    static const char *const wrong[] = {"synthetic:",
                                        "synthetic:3b",
                                        "synthetic:tiny:",
                                        "synthetic:tiny:x",
                                        "synthetic:tiny:-1",
                                        "synthetic:tiny:1x",
                                        "synthetic:tiny:99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(model_open(&model, wrong[i], &err), STATUS_USAGE);
        assert_true(*err.remedy);
    }
}

/* 405 billion weights are described without making one. */
static void the_largest_opens_at_once(void **state)
{
    (void)state;
    struct model model;
    float row[16384];
    opened(&model, "synthetic:llama3-405b");
    assert_int_equal(model.parameters, 405853388800);
    tensor_row_f32(&model.layer[125].w_gate, 53247, row);
    assert_true(row[0] != row[1]);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_the_file),
        cmocka_unit_test(weights_are_what_they_have_always_been),
        cmocka_unit_test(parts_of_rows_are_those_of_the_whole),
        cmocka_unit_test(the_native_engine_computes_the_same),
        cmocka_unit_test(a_name_is_a_model),
        cmocka_unit_test(the_largest_opens_at_once),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
