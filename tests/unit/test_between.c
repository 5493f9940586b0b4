/* src/bench/between: variants of two runs, from records whose answers are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "bench/between.h"

enum { BLOCKS = 8, TOKENS = 5 };

struct made {
    struct record_variant variant;
    struct record_process processes[BLOCKS];
    int64_t stamps[BLOCKS][TOKENS];
    struct record_run run;
    struct summary summary;
};

/* Steps of `us` microseconds, `spread` more and less from block to block. */
static void make(struct made *made, uint32_t blocks, int64_t us, int64_t spread)
{
    struct error err;
    memset(made, 0, sizeof *made);
    made->variant = (struct record_variant){.name = "v", .engine = "e", .precision = "float32"};
    for (uint32_t block = 0; block < blocks; block++) {
        int64_t step = (us + (block % 2 ? spread : -spread)) * 1000;
        for (int i = 0; i < TOKENS; i++)
            made->stamps[block][i] = 1000000000 + i * step;
        made->processes[block] = (struct record_process){.block = block,
                                                         .prompt_ns = 900000000,
                                                         .prompt_tokens = 1,
                                                         .stamps_ns = made->stamps[block],
                                                         .token_count = TOKENS};
    }
    made->run = (struct record_run){.state = "complete",
                                    .plan = "{\"threads\": 2, \"prompt\": [1, 2]}",
                                    .manifest = "{\"machine\": {\"cpu\": {\"model\": \"A\"}}}",
                                    .variants = &made->variant,
                                    .variant_count = 1,
                                    .processes = made->processes,
                                    .process_count = blocks};
    assert_int_equal(summary_make(&made->summary, &made->run, &err), STATUS_OK);
}

static struct between compare(struct made *a, struct made *b)
{
    struct error err;
    struct arena arena = {0};
    struct between between;
    struct between_side one = {&a->summary, 0}, other = {&b->summary, 0};
    assert_int_equal(between_make(&between, &one, &other, METRIC_TPOT, &arena, &err), STATUS_OK);
    arena_free(&arena);
    summary_free(&a->summary);
    summary_free(&b->summary);
    return between;
}

static void ratios_and_verdicts(void **state)
{
    (void)state;
    struct made a, b;
    make(&a, 8, 1000, 10);
    make(&b, 6, 2000, 20);
    struct between faster = compare(&a, &b);
    assert_float_equal(faster.ratio.value, 2, 1e-3);
    assert_int_equal(faster.ratio.blocks, 6);
    assert_int_equal(faster.verdict, VERDICT_FASTER);
    assert_true(faster.ratio.low > 1.95 && faster.ratio.high < 2.05);
    make(&a, 8, 2000, 10);
    make(&b, 6, 1000, 10);
    assert_int_equal(compare(&a, &b).verdict, VERDICT_SLOWER);
    make(&a, 8, 1000, 2);
    make(&b, 8, 1000, 2);
    assert_int_equal(compare(&a, &b).verdict, VERDICT_SAME);
    make(&a, 8, 1000, 100);
    make(&b, 8, 1030, 100);
    assert_int_equal(compare(&a, &b).verdict, VERDICT_UNDECIDED);
    make(&a, 5, 1000, 1);
    make(&b, 8, 2000, 1);
    assert_int_equal(compare(&a, &b).verdict, VERDICT_NONE);
    make(&a, 0, 1000, 1);
    make(&b, 8, 2000, 1);
    assert_false(compare(&a, &b).ratio.known);
}

static void gates(void **state)
{
    (void)state;
    struct made a, b;
    make(&a, 8, 1000, 5);
    make(&b, 8, 1000, 5);
    struct between same = compare(&a, &b);
    assert_int_equal(between_gate(&same, 0.03).outcome, GATE_PASS);
    make(&a, 8, 1200, 5);
    make(&b, 8, 1000, 5);
    struct between worse = compare(&a, &b);
    assert_int_equal(between_gate(&worse, 0.03).outcome, GATE_REGRESSION);
    make(&a, 8, 1000, 60);
    make(&b, 8, 1000, 60);
    struct between noisy = compare(&a, &b);
    struct gate gate = between_gate(&noisy, 0.05);
    assert_int_equal(gate.outcome, GATE_UNDECIDED);
    assert_in_range(gate.more_blocks, 1, 40);
    make(&a, 3, 1000, 5);
    make(&b, 8, 1000, 5);
    struct between few = compare(&a, &b);
    assert_int_equal(between_gate(&few, 0.03).more_blocks, 3);
    make(&a, 1, 1000, 5);
    make(&b, 8, 1000, 5);
    struct between one = compare(&a, &b);
    assert_int_equal(between_gate(&one, 0.03).more_blocks, 5);
}

/* Three comparisons, of which the second alone is near the level: Holm takes its verdict away. */
static void families(void **state)
{
    (void)state;
    struct error err;
    struct arena arena = {0};
    struct between family[3];
    for (int i = 0; i < 3; i++)
        family[i] = (struct between){.ratio = {true, 1.1, 1.03, 1.17, 8, NULL},
                                     .zone = log1p(0.02),
                                     .p = i == 1   ? 0.03
                                          : i == 0 ? 1e-6
                                                   : 0.5};
    assert_int_equal(between_family(family, 3, &arena, &err), STATUS_OK);
    assert_int_equal(family[0].verdict, VERDICT_FASTER);
    assert_int_equal(family[1].verdict, VERDICT_UNDECIDED);
    assert_int_equal(family[2].verdict, VERDICT_UNDECIDED);
    arena_free(&arena);
}

static void work_and_machines(void **state)
{
    (void)state;
    struct record_run a = {.id = 1,
                           .plan = "{\"threads\": 2, \"prompt\": [1, 2], \"blocks\": 6}",
                           .manifest = "{\"machine\": {\"cpu\": {\"model\": \"A\"}}, "
                                       "\"versions\": {\"prony\": \"1\"}}"},
                      b = a;
    struct error err;
    struct arena arena = {0};
    const char *differs;
    b.plan = "{\"threads\": 2, \"prompt\": [1, 2], \"blocks\": 9}";
    assert_int_equal(between_same_work(&a, &b, &err), STATUS_OK);
    b.plan = "{\"threads\": 2, \"prompt\": [1, 3]}";
    assert_int_equal(between_same_work(&a, &b, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "the prompt: [1,2] in one run, [1,3] in the other"));
    b.plan = "{\"threads\": 2}";
    assert_int_equal(between_same_work(&a, &b, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "not known in the other"));
    assert_int_equal(between_machines(&a, &b, &differs, &arena, &err), STATUS_OK);
    assert_null(differs);
    b.manifest = "{\"machine\": {\"cpu\": {\"model\": \"B\"}}, \"versions\": {\"prony\": \"2\"}}";
    assert_int_equal(between_machines(&a, &b, &differs, &arena, &err), STATUS_OK);
    assert_string_equal(differs, "the processor: \"A\" in one run, \"B\" in the other");
    b.manifest = "{\"damaged\":";
    assert_int_equal(between_machines(&a, &b, &differs, &arena, &err), STATUS_FORMAT);
    b.manifest = a.manifest;
    a.plan = "{\"gpu\": \"H100\"}";
    b.plan = "{\"gpu\": \"H200\"}";
    assert_int_equal(between_machines(&a, &b, &differs, &arena, &err), STATUS_OK);
    assert_string_equal(differs, "the GPU: \"H100\" in one run, \"H200\" in the other");
    arena_free(&arena);
}

/* Threads that each engine chose are not those that all were given. */
static void fairness(void **state)
{
    (void)state;
    struct record_run a = {.id = 1, .plan = "{\"threads\": 2}", .manifest = "{}"}, b = a;
    struct error err;
    b.plan = "{\"threads\": 2, \"fair_comparison\": false}";
    assert_int_equal(between_same_work(&a, &b, &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "a fair comparison: true in one run, false in the other"));
    a.plan = b.plan;
    assert_int_equal(between_same_work(&a, &b, &err), STATUS_OK);
}

static void asides(void **state)
{
    (void)state;
    struct record_run a = {.plan = "{\"points\": [1], \"redo\": true}",
                           .manifest = "{\"versions\": {\"prony\": \"1\"}}"},
                      b = a;
    struct error err;
    struct arena arena = {0};
    const char *lines[BETWEEN_ASIDES];
    size_t count;
    assert_int_equal(between_asides(&a, &b, lines, &count, &arena, &err), STATUS_OK);
    assert_int_equal(count, 0);
    b.manifest = "{\"versions\": {\"prony\": \"2\"}}";
    b.plan = "{\"points\": [1, 2, 3, 4, 5], \"redo\": false, \"gate_context\": 128}";
    assert_int_equal(between_asides(&a, &b, lines, &count, &arena, &err), STATUS_OK);
    assert_int_equal(count, 4);
    assert_string_equal(lines[0], "Prony's version: \"1\" in one run, \"2\" in the other");
    assert_non_null(strstr(lines[1], "measured again: true in one run, false in the other"));
    assert_non_null(strstr(lines[2], "not known in one run, 128 in the other"));
    assert_non_null(strstr(lines[3], "--cold): 1 points in one run, 5 in the other"));
    a.plan = "{}"; /* of before there was a choice */
    b.plan = "{\"redo\": true}";
    b.manifest = a.manifest;
    assert_int_equal(between_asides(&a, &b, lines, &count, &arena, &err), STATUS_OK);
    assert_int_equal(count, 0);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratios_and_verdicts),
        cmocka_unit_test(gates),
        cmocka_unit_test(families),
        cmocka_unit_test(work_and_machines),
        cmocka_unit_test(fairness),
        cmocka_unit_test(asides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
