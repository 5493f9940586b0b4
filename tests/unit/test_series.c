/* src/bench/series: what charts are drawn from, of a record whose answers are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "bench/series.h"

enum { BLOCKS = 3, TOKENS = 6, WARMUP = 1, MS = 1000000 };

struct fixture {
    struct record_variant variants[2];
    struct record_process processes[BLOCKS + 1];
    struct record_phase phases[3];
    int64_t stamps[BLOCKS][TOKENS];
    struct record_run run;
    struct summary summary;
    struct series series;
};

/* Block b: tokens 10 + b ms apart, but for the first step, the warm-up, of 50 ms. */
static void make(struct fixture *fixture)
{
    struct error err;
    *fixture = (struct fixture){.variants = {{.name = "a", .engine = "e", .precision = "float32"},
                                             {.name = "b", .engine = "e", .precision = "float32"}},
                                .phases = {{"import", 15 * MS, 20 * MS},
                                           {"read", 20 * MS, 50 * MS},
                                           {"boast", 20 * MS, 9000 * (int64_t)MS}}};
    for (uint32_t block = 0; block < BLOCKS; block++) {
        int64_t *stamps = fixture->stamps[block];
        stamps[0] = 1000 * (int64_t)MS;
        for (int i = 1; i < TOKENS; i++)
            stamps[i] = stamps[i - 1] + (i == 1 ? 50 : 10 + (int)block) * (int64_t)MS;
        fixture->processes[block] = (struct record_process){
            .block = block,
            .spawned_ns = 1 * MS,
            .hello_ns = 11 * MS,
            .load_asked_ns = 12 * MS,
            .load_ready_ns = 112 * MS,
            .phases = fixture->phases,
            .phase_count = block == 2 ? 3 : 2,
            .cold_asked_ns = 200 * MS,
            .cold_prompt_ns = 201 * MS,
            .cold_first_ns = 240 * MS,
            .prompt_ns = 990 * (int64_t)MS,
            .prompt_tokens = 4,
            .stamps_ns = stamps,
            .token_count = TOKENS,
            .warmup_steps = WARMUP,
            .weight_bytes = 1000000,
            .bandwidth = 1e9,
        };
    }
    fixture->processes[BLOCKS] = (struct record_process){.variant = 1, .failure = "it fell over"};
    fixture->run = (struct record_run){.state = "complete",
                                       .variants = fixture->variants,
                                       .variant_count = 2,
                                       .processes = fixture->processes,
                                       .process_count = BLOCKS + 1};
    assert_int_equal(summary_make(&fixture->summary, &fixture->run, &err), STATUS_OK);
    assert_int_equal(
        series_make(&fixture->series, &fixture->summary, &fixture->summary.arena, &err), STATUS_OK);
}

static void blocks_and_boxes(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture);
    const struct series_variant *own = &fixture.series.variants[0];
    assert_int_equal(own->block_count, BLOCKS);
    assert_int_equal(own->blocks[2].block, 2);
    assert_int_equal(own->blocks[2].step_count, TOKENS - 1 - WARMUP);
    assert_float_equal(own->blocks[2].median, 0.012, 1e-12);
    assert_float_equal(own->lowest, 0.010, 1e-12);
    assert_float_equal(own->quarter, 0.010, 1e-12);
    assert_float_equal(own->median, 0.011, 1e-12);
    assert_float_equal(own->highest, 0.012, 1e-12);
    summary_free(&fixture.summary);
}

static void tokens_in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture);
    const struct series_variant *own = &fixture.series.variants[0];
    assert_int_equal(own->token_count, TOKENS - 1);
    assert_int_equal(own->warmup, WARMUP);
    assert_float_equal(own->tokens[0].median, 0.050, 1e-12);
    assert_float_equal(own->tokens[1].low, 0.010, 1e-12);
    assert_float_equal(own->tokens[1].median, 0.011, 1e-12);
    assert_float_equal(own->tokens[1].high, 0.012, 1e-12);
    summary_free(&fixture.summary);
}

/* The parts are the whole start, in order, whatever an engine says of its phases. */
static void parts_of_a_start(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture);
    const struct series_variant *own = &fixture.series.variants[0];
    static const char *const names[] = {"process",    "import", "read",
                                        "other load", "boast",  "first token"};
    static const double ms[] = {10, 5, 30, 65 * 2 / 3.0, 65 / 3.0, 40};
    double sum = 0;
    assert_int_equal(own->part_count, 6);
    for (size_t i = 0; i < own->part_count; i++) {
        assert_string_equal(own->parts[i].name, names[i]);
        assert_float_equal(own->parts[i].seconds, ms[i] * 1e-3, 1e-12);
        sum += own->parts[i].seconds;
    }
    const struct estimate *whole =
        &fixture.summary.variants[0].metrics[METRIC_START_TO_FIRST_TOKEN];
    assert_float_equal(sum, whole->value, 1e-9);
    summary_free(&fixture.summary);
}

static void limits_and_failures(void **state)
{
    (void)state;
    struct fixture fixture;
    make(&fixture);
    assert_float_equal(fixture.series.variants[0].limit_rate, 1000, 1e-6);
    assert_int_equal(fixture.series.variants[1].block_count, 0);
    assert_int_equal(fixture.series.variants[1].part_count, 0);
    assert_false(fixture.series.variants[1].lowest > 0);
    assert_true(fixture.series.variants[1].limit_rate == 0);
    summary_free(&fixture.summary);
}

/* Block 0 was disturbed and done again, and the second time counts though it was disturbed too. */
static void disturbances(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err;
    struct record_reading readings[] = {{"foreign_cores", 1.5}, {"foreign_s", 0.5}};
    make(&fixture);
    summary_free(&fixture.summary);
    fixture.processes[BLOCKS] = fixture.processes[0];
    fixture.processes[BLOCKS].attempt = 1;
    fixture.processes[0].readings = fixture.processes[BLOCKS].readings = readings;
    fixture.processes[0].reading_count = fixture.processes[BLOCKS].reading_count = 2;
    assert_int_equal(summary_make(&fixture.summary, &fixture.run, &err), STATUS_OK);
    assert_int_equal(series_make(&fixture.series, &fixture.summary, &fixture.summary.arena, &err),
                     STATUS_OK);
    assert_int_equal(fixture.summary.redone, 1);
    assert_int_equal(fixture.series.disturbance_count, 2);
    assert_false(fixture.series.disturbances[0].counts);
    assert_true(fixture.series.disturbances[1].counts);
    assert_int_equal(fixture.series.disturbances[1].attempt, 1);
    assert_non_null(strstr(fixture.series.disturbances[0].what, "1.50 cores"));
    assert_int_equal(fixture.series.variants[0].block_count, BLOCKS);
    summary_free(&fixture.summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_boxes), cmocka_unit_test(tokens_in_order),
        cmocka_unit_test(parts_of_a_start), cmocka_unit_test(limits_and_failures),
        cmocka_unit_test(disturbances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
