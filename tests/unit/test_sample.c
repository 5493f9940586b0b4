/* Sampling: what each option leaves, and that draws follow the probabilities. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "llama/sample.h"

enum { COUNT = 5, DRAWS = 20000 };

/* Probabilities 0.1, 0.4, 0.2, 0.25, 0.05 at temperature 1. */
static const double probability[COUNT] = {0.1, 0.4, 0.2, 0.25, 0.05};

static void logits_fill(float *logits)
{
    for (int i = 0; i < COUNT; i++)
        logits[i] = (float)log(probability[i]) + 3;
}

/* Draws often; checks that only ids of the mask (bit i: id i) come, each as often as its share. */
static void draws_follow(struct llama_sampler sampler, unsigned mask)
{
    struct llama_candidate candidates[COUNT];
    float logits[COUNT];
    double total = 0;
    int seen[COUNT] = {0};
    logits_fill(logits);
    sampler.random = 42;
    for (int i = 0; i < COUNT; i++)
        total += mask >> i & 1 ? pow(probability[i], 1 / sampler.temperature) : 0;
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = llama_sample(&sampler, logits, COUNT, candidates);
        assert_in_range(id, 0, COUNT - 1);
        seen[id]++;
    }
    for (int i = 0; i < COUNT; i++) {
        double share = mask >> i & 1 ? pow(probability[i], 1 / sampler.temperature) / total : 0;
        double deviation = sqrt(share * (1 - share) / DRAWS); /* binomial */
        assert_true(fabs((double)seen[i] / DRAWS - share) <= 4 * deviation);
    }
}

static void follows_the_probabilities(void **state)
{
    (void)state;
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 1}, 0x1f);
    draws_follow((struct llama_sampler){.temperature = 2, .top_p = 1}, 0x1f);
    draws_follow((struct llama_sampler){.temperature = 0.5, .top_p = 1}, 0x1f);
}

static void leaves_what_the_options_say(void **state)
{
    (void)state;
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 1, .top_k = 2}, 1 << 1 | 1 << 3);
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 1, .top_k = 1}, 1 << 1);
    /* 0.4 + 0.25 is not 0.8 yet; with 0.2 more it is. */
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 0.8}, 1 << 1 | 1 << 2 | 1 << 3);
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 0}, 1 << 1);
    /* At least 0.45 times as likely as the best: 0.4, 0.25 and 0.2. */
    draws_follow((struct llama_sampler){.temperature = 1, .top_p = 1, .min_p = 0.45},
                 1 << 1 | 1 << 2 | 1 << 3);
}

static void stays_inside_with_odd_input(void **state)
{
    (void)state;
    struct llama_candidate candidates[COUNT];
    const float nans[COUNT] = {NAN, NAN, NAN, NAN, NAN};
    const float infinite[COUNT] = {-INFINITY, 1, -INFINITY, -INFINITY, -INFINITY};
    struct llama_sampler sampler = {.temperature = 1, .top_p = 1, .min_p = 2};
    float logits[COUNT];
    logits_fill(logits);
    assert_in_range(llama_sample(&sampler, logits, COUNT, candidates), 0, COUNT - 1);
    assert_in_range(llama_sample(&sampler, nans, COUNT, candidates), 0, COUNT - 1);
    sampler.min_p = 0;
    sampler.top_p = 0.5;
    assert_in_range(llama_sample(&sampler, nans, COUNT, candidates), 0, COUNT - 1);
    assert_int_equal(llama_sample(&sampler, infinite, COUNT, candidates), 1);
    sampler.temperature = 1e-9;
    assert_int_equal(llama_sample(&sampler, logits, COUNT, candidates), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_probabilities),
        cmocka_unit_test(leaves_what_the_options_say),
        cmocka_unit_test(stays_inside_with_odd_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
