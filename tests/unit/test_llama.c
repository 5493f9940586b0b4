/* The native engine on a tiny model: what must hold whatever the numbers are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/made_model.h"
#include "llama/cpu/kernels.h"
#include "llama/llama.h"
#include "llama/sample.h"

enum { IDS = 150, CONTEXT = 160 }; /* more than two blocks of a prompt */

struct fixture {
    struct made_model made;
    uint32_t vocabulary;
    int32_t ids[IDS];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct model_config config;
    assert_non_null(fixture);
    assert_true(synthetic_shape("tiny", &config));
    if (!made_model_open(&fixture->made, "test_llama", &config, TENSOR_F16))
        return -1;
    fixture->vocabulary = fixture->made.model.config.vocabulary;
    for (uint32_t i = 0; i < IDS; i++)
        fixture->ids[i] = (int32_t)((i * 37 + 11) % fixture->vocabulary);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    made_model_close(&fixture->made);
    free(fixture);
    return 0;
}

static struct llama *load(const struct fixture *fixture, enum llama_precision precision,
                          uint32_t threads, const char *kernels)
{
    struct llama *llama;
    struct error err;
    struct llama_options options = {
        .precision = precision, .context = CONTEXT, .threads = threads, .kernels = kernels};
    if (llama_load(&llama, &fixture->made.model, &options, &err) != STATUS_OK)
        fail_msg("%s", err.what);
    return llama;
}

/* All logits of the fixture's ids, step ids at a time; the caller frees. */
static float *logits_of(const struct fixture *fixture, struct llama *llama, uint32_t step)
{
    struct error err;
    float *logits = calloc((size_t)IDS * fixture->vocabulary, sizeof *logits);
    assert_non_null(logits);
    for (uint32_t done = 0; done < IDS; done += step) {
        uint32_t now = IDS - done < step ? IDS - done : step;
        assert_int_equal(llama_forward(llama, fixture->ids + done, now,
                                       logits + (size_t)done * fixture->vocabulary, 1, &err),
                         STATUS_OK);
    }
    return logits;
}

static void test_bits_do_not_depend_on_threads_or_steps(void **state)
{
    static const struct {
        uint32_t threads, step;
    } ways[] = {{1, 1}, {2, IDS}, {3, 7}, {8, 70}};
    const struct fixture *fixture = *state;
    size_t bytes = (size_t)IDS * fixture->vocabulary * sizeof(float);
    const struct kernels *kernels;
    for (size_t k = 0; (kernels = kernels_at(k)); k++) {
        for (int type = LLAMA_F32; type <= LLAMA_BF16; type++) {
            struct llama *llama = load(fixture, type, 1, kernels->name);
            float *expected = logits_of(fixture, llama, IDS);
            llama_free(llama);
            for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
                llama = load(fixture, type, ways[i].threads, kernels->name);
                assert_int_equal(llama_threads(llama), ways[i].threads);
                assert_string_equal(llama_kernels(llama), kernels->name);
                float *again = logits_of(fixture, llama, ways[i].step);
                assert_memory_equal(again, expected, bytes);
                free(again);
                llama_free(llama);
            }
            free(expected);
        }
    }
}

/* The equivalence gate's reference runs the machine's best kernels: over all layers, too, they are
 * the plain ones but for the order of sums. */
static void test_kernels_agree_with_plain_c(void **state)
{
    const struct fixture *fixture = *state;
    struct llama *plain = load(fixture, LLAMA_F32, 1, "c"),
                 *best = load(fixture, LLAMA_F32, 1, NULL);
    float *own = logits_of(fixture, plain, IDS), *other = logits_of(fixture, best, IDS);
    float low = 0, high = 0, error = 0;
    for (size_t i = 0; i < (size_t)IDS * fixture->vocabulary; i++) {
        low = fminf(low, own[i]);
        high = fmaxf(high, own[i]);
        error = fmaxf(error, fabsf(own[i] - other[i]));
    }
    if (!(high > low && error < 1e-5F * (high - low)))
        fail_msg("off by %g of %g", (double)error, (double)(high - low));
    free(own);
    free(other);
    llama_free(plain);
    llama_free(best);
}

/* What is rounded is what bfloat16 can hold: the lower half of every logit's bits is empty. */
static void test_every_output_is_rounded(void **state)
{
    const struct fixture *fixture = *state;
    struct error err;
    struct llama *llama = NULL, *wide = load(fixture, LLAMA_BF16, 1, NULL);
    const struct llama_options options = {
        .precision = LLAMA_BF16, .context = CONTEXT, .threads = 1, .rounded = true};
    assert_int_equal(llama_load(&llama, &fixture->made.model, &options, &err), STATUS_OK);
    float *rounded = logits_of(fixture, llama, IDS), *own = logits_of(fixture, wide, IDS);
    size_t count = (size_t)IDS * fixture->vocabulary, others = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &rounded[i], sizeof bits);
        assert_int_equal(bits & 0xffff, 0);
        /* Not the logits alone: most differ from what their own rounding would make of them. */
        others += fabsf(rounded[i] - own[i]) > fabsf(own[i]) / 256;
    }
    assert_true(others > count / 4);
    free(rounded);
    free(own);
    llama_free(llama);
    llama_free(wide);
}

static void test_reset_starts_over(void **state)
{
    const struct fixture *fixture = *state;
    struct llama *llama = load(fixture, LLAMA_F16, 2, NULL);
    float *first = logits_of(fixture, llama, IDS);
    assert_int_equal(llama_position(llama), IDS);
    llama_reset(llama);
    assert_int_equal(llama_position(llama), 0);
    float *second = logits_of(fixture, llama, 1);
    assert_memory_equal(first, second, (size_t)IDS * fixture->vocabulary * sizeof *first);
    free(first);
    free(second);
    llama_free(llama);
}

static void test_next_is_the_largest_logit(void **state)
{
    const struct fixture *fixture = *state;
    struct error err;
    struct llama *llama = load(fixture, LLAMA_F32, 2, NULL);
    float *logits = logits_of(fixture, llama, IDS);
    const float *last = logits + (size_t)(IDS - 1) * fixture->vocabulary;
    int32_t next = -1;
    llama_reset(llama);
    assert_int_equal(llama_next(llama, fixture->ids, IDS, &next, &err), STATUS_OK);
    assert_in_range(next, 0, fixture->vocabulary - 1);
    for (int32_t i = 0; i < (int32_t)fixture->vocabulary; i++)
        assert_true(i < next ? last[i] < last[next] : last[i] <= last[next]);
    free(logits);
    llama_free(llama);
}

struct made {
    int32_t id[CONTEXT - IDS];
    uint32_t count;
};

static int note(void *context, int32_t id)
{
    struct made *made = context;
    made->id[made->count++] = id;
    return 0;
}

/* Ids are those that the sampler draws from the logits, one after the other. */
static void test_ids_are_drawn(void **state)
{
    enum { MADE = CONTEXT - IDS };
    static const struct llama_sampler samplers[] = {
        {.temperature = 1.5, .top_p = 1, .random = 7},
        {.temperature = 1.5, .top_p = 0.9, .top_k = 40, .random = 7}};
    const struct fixture *fixture = *state;
    struct error err;
    struct llama *llama = load(fixture, LLAMA_F16, 2, NULL);
    float *logits = malloc(fixture->vocabulary * sizeof *logits);
    struct llama_candidate *candidates = malloc(fixture->vocabulary * sizeof *candidates);
    assert_true(logits && candidates);
    for (size_t i = 0; i < sizeof samplers / sizeof samplers[0]; i++) {
        struct llama_sampler sampler = samplers[i], other = samplers[i];
        struct made made = {.count = 0};
        llama_reset(llama);
        assert_int_equal(
            llama_generate(llama, &sampler, fixture->ids, IDS, MADE, note, &made, &err), STATUS_OK);
        assert_int_equal(made.count, MADE);
        llama_reset(llama);
        for (int n = 0; n < MADE; n++) {
            const int32_t *ids = n ? &made.id[n - 1] : fixture->ids;
            assert_int_equal(llama_forward(llama, ids, n ? 1 : IDS, logits, 0, &err), STATUS_OK);
            assert_int_equal(made.id[n],
                             llama_sample(&other, logits, fixture->vocabulary, candidates));
        }
        assert_true(sampler.random == other.random);
    }
    free(logits);
    free(candidates);
    llama_free(llama);
}

static void test_refusals(void **state)
{
    const struct fixture *fixture = *state;
    struct error err;
    int32_t next, bad = (int32_t)fixture->vocabulary;
    struct llama *llama = load(fixture, LLAMA_F16, 1, NULL);
    assert_int_equal(llama_next(llama, &bad, 1, &next, &err), STATUS_USAGE);
    bad = -1;
    assert_int_equal(llama_next(llama, &bad, 1, &next, &err), STATUS_USAGE);
    assert_int_equal(llama_next(llama, fixture->ids, 0, &next, &err), STATUS_USAGE);
    assert_int_equal(llama_position(llama), 0);
    assert_int_equal(llama_next(llama, fixture->ids, IDS, &next, &err), STATUS_OK);
    assert_int_equal(llama_next(llama, fixture->ids, CONTEXT - IDS + 1, &next, &err), STATUS_USAGE);
    assert_int_equal(llama_position(llama), IDS);
    assert_int_equal(llama_next(llama, fixture->ids, CONTEXT - IDS, &next, &err), STATUS_OK);
    llama_free(llama);

    struct llama_options options = {.precision = LLAMA_F16};
    assert_int_equal(llama_load(&llama, &fixture->made.model, &options, &err), STATUS_USAGE);
    options = (struct llama_options){.context = 8, .kernels = "none such"};
    assert_int_equal(llama_load(&llama, &fixture->made.model, &options, &err), STATUS_USAGE);
    options = (struct llama_options){.context = 8, .threads = 1u << 30};
    assert_int_equal(llama_load(&llama, &fixture->made.model, &options, &err), STATUS_USAGE);
    options = (struct llama_options){.context = UINT32_MAX};
    struct model huge = fixture->made.model;
    huge.config.kv_heads = huge.config.heads = 1 << 16;
    assert_int_equal(llama_load(&llama, &huge, &options, &err), STATUS_NO_MEMORY);
    assert_null(llama);
}

static void test_bytes_are_counted(void **state)
{
    const struct fixture *fixture = *state;
    const struct model_config *config = &fixture->made.model.config;
    struct llama *wide = load(fixture, LLAMA_F32, 1, NULL);
    struct llama *half = load(fixture, LLAMA_F16, 1, NULL);
    uint64_t norms = (uint64_t)config->hidden_size * (2 * config->layers + 1);
    uint64_t matrices = llama_weight_bytes(wide) / 4 - norms;
    uint64_t values = 2ull * config->layers * config->kv_heads * config->head_size;
    assert_int_equal(llama_weight_bytes(half), 2 * matrices + 4 * norms);
    assert_int_equal(llama_cache_bytes(wide), 4 * values * CONTEXT);
    assert_int_equal(llama_cache_bytes(half), 2 * values * CONTEXT);
    assert_int_equal(llama_bytes_per_token(half, 9) - llama_bytes_per_token(half, 0),
                     9 * 2 * values);
    llama_free(wide);
    llama_free(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_do_not_depend_on_threads_or_steps),
        cmocka_unit_test(test_kernels_agree_with_plain_c),
        cmocka_unit_test(test_every_output_is_rounded),
        cmocka_unit_test(test_reset_starts_over),
        cmocka_unit_test(test_next_is_the_largest_logit),
        cmocka_unit_test(test_ids_are_drawn),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bytes_are_counted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
