/* src/bench/limits: what a variant is held against, from what the probe read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "bench/limits.h"

enum { WHOLE, TWO, THREE };

/* A model whole, over two cards and over three; an empty address: the run is on the CPU. */
static struct plan plan_of(struct plan_variant variants[3], const char *pci)
{
    struct plan plan = {.variants = variants, .variant_count = 3};
    for (uint32_t i = 0; i < 3; i++)
        variants[i] = (struct plan_variant){.form = {.shard = i + 1}};
    snprintf(plan.gpu.pci, sizeof plan.gpu.pci, "%s", pci);
    return plan;
}

static void the_slowest_card_bounds_all(void **state)
{
    (void)state;
    struct plan_variant variants[3];
    struct plan plan = plan_of(variants, "0000:01:00.0");
    double cards[] = {3e12, 2e12, 1e12};
    struct limits limits = {.device = 3e12, .cards = cards, .card_count = 3};
    assert_true(limits_of(&limits, &plan, WHOLE) == 3e12);
    assert_true(limits_of(&limits, &plan, TWO) == 4e12);
    assert_true(limits_of(&limits, &plan, THREE) == 3e12);
    cards[1] = 0;
    assert_true(limits_of(&limits, &plan, WHOLE) == 3e12);
    assert_true(limits_of(&limits, &plan, TWO) == 0);
}

/* Its parts share one memory, which the probe reads with all threads. */
static void a_cpu_is_one_device(void **state)
{
    (void)state;
    struct plan_variant variants[3];
    struct plan plan = plan_of(variants, "");
    struct limits limits = {.device = 1e10};
    for (size_t i = WHOLE; i <= THREE; i++)
        assert_true(limits_of(&limits, &plan, i) == 1e10);
}

static void there_is_room_for_the_most_cards(void **state)
{
    (void)state;
    struct plan_variant variants[3];
    struct plan plan = plan_of(variants, "0000:01:00.0");
    struct arena arena = {0};
    struct limits limits;
    struct error err;
    assert_int_equal(limits_init(&limits, &plan, &arena, &err), STATUS_OK);
    assert_int_equal(limits.card_count, 3);
    plan = plan_of(variants, "");
    assert_int_equal(limits_init(&limits, &plan, &arena, &err), STATUS_OK);
    assert_int_equal(limits.card_count, 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_slowest_card_bounds_all),
        cmocka_unit_test(a_cpu_is_one_device),
        cmocka_unit_test(there_is_room_for_the_most_cards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
