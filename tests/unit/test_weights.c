/* The weights that ranks hold of a quantised model: each has its part of what one alone holds, bit
 * for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/made_model.h"
#include "llama/quantize.h"
#include "llama/weights.h"

struct fixture {
    struct made_model made;
    struct pool *pool;
    const struct kernels *kernels;
};

/* Wide enough that two and four ranks have whole blocks of every matrix. */
static int setup(void **state)
{
    struct error err;
    struct fixture *f = calloc(1, sizeof *f);
    struct model_config config;
    assert_non_null(f);
    assert_true(synthetic_shape("tiny", &config));
    config.hidden_size = 128;
    config.heads = 16;
    config.kv_heads = 4;
    config.ffn_size = 512;
    if (!made_model_open(&f->made, "test_weights", &config, TENSOR_BF16))
        return -1;
    if (kernels_find(&f->kernels, NULL, &err) != STATUS_OK ||
        pool_open(&f->pool, 3, &err) != STATUS_OK) {
        error_print(&err, stderr);
        return -1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    pool_close(f->pool);
    made_model_close(&f->made);
    free(f);
    return 0;
}

static struct weights load(const struct fixture *f, enum llama_precision quantize,
                           struct ranks *ranks)
{
    struct weights weights;
    struct error err;
    struct llama_options options = {.precision = LLAMA_F16, .quantize = quantize, .ranks = ranks};
    if (weights_load(&weights, &f->made.model, &options, f->kernels, f->pool, &err) != STATUS_OK)
        fail_msg("%s", err.what);
    return weights;
}

/* What the whole holds from a column of a row on is what the part holds of that row. */
static void check_row(const struct matrix *whole, size_t row, size_t column,
                      const struct matrix *part, size_t part_row)
{
    enum llama_precision precision = whole->precision;
    size_t bytes = matrix_row_bytes(precision, part->columns);
    const char *data = whole->data, *held = part->data;
    data += row * matrix_row_bytes(precision, whole->columns) + matrix_row_bytes(precision, column);
    assert_memory_equal(held + part_row * bytes, data, bytes);
    size_t scales = matrix_row_scales(precision, part->columns);
    if (!scales)
        return;
    size_t first = row * matrix_row_scales(precision, whole->columns) +
                   (precision == LLAMA_NF4 ? column / NF4_BLOCK : 0);
    assert_memory_equal(part->scales + part_row * scales, whole->scales + first,
                        scales * sizeof *part->scales);
}

static void check(const struct matrix *whole, const struct matrix *part, const struct ranks *ranks,
                  bool by_columns)
{
    struct part rows = ranks_part(by_columns ? NULL : ranks, whole->rows);
    struct part columns = ranks_part(by_columns ? ranks : NULL, whole->columns);
    assert_int_equal(part->precision, whole->precision);
    assert_int_equal(part->rows, rows.end - rows.begin);
    assert_int_equal(part->columns, columns.end - columns.begin);
    for (size_t r = 0; r < part->rows; r++)
        check_row(whole, rows.begin + r, columns.begin, part, r);
}

static void check_layer(const struct weights_layer *whole, const struct weights_layer *part,
                        const struct ranks *ranks)
{
    check(&whole->wq, &part->wq, ranks, false);
    check(&whole->wk, &part->wk, ranks, false);
    check(&whole->wv, &part->wv, ranks, false);
    check(&whole->wo, &part->wo, ranks, true);
    check(&whole->w_gate, &part->w_gate, ranks, false);
    check(&whole->w_up, &part->w_up, ranks, false);
    check(&whole->w_down, &part->w_down, ranks, true);
}

/* Norms are on every rank, and so are all scales of int8's rows where they are cut. */
static uint64_t held_by_each(const struct model_config *config, enum llama_precision quantize)
{
    uint64_t norms = (2 * config->layers + 1) * config->hidden_size;
    uint64_t cut = quantize == LLAMA_INT8 ? 2 * config->layers * config->hidden_size : 0;
    return (norms + cut) * sizeof(float);
}

static void test_parts_are_of_the_quantised_whole(void **state)
{
    const struct fixture *f = *state;
    const struct model_config *config = &f->made.model.config;
    for (int quantize = LLAMA_INT8; quantize <= LLAMA_NF4; quantize++) {
        struct weights whole = load(f, quantize, NULL);
        for (uint32_t count = 2; count <= 4; count *= 2) {
            uint64_t bytes = 0;
            for (uint32_t rank = 0; rank < count; rank++) {
                struct ranks ranks = {.rank = rank, .count = count};
                struct weights part = load(f, quantize, &ranks);
                for (uint32_t i = 0; i < config->layers; i++)
                    check_layer(&whole.layer[i], &part.layer[i], &ranks);
                check(&whole.embedding, &part.embedding, &ranks, false);
                check(&whole.output, &part.output, &ranks, false);
                bytes += part.bytes;
                weights_free(&part);
            }
            assert_int_equal(bytes - whole.bytes, (count - 1) * held_by_each(config, quantize));
        }
        weights_free(&whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_are_of_the_quantised_whole, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
