/* src/bench/summary and notes: what is left out of a run, what counts, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/summary_fixture.h"

/* A record within its bounds; worse: one that is not. */
static struct record_equivalence gated(bool good)
{
    return (struct record_equivalence){.precision = "float16",
                                       .positions = 128,
                                       .agreeing = 120,
                                       .kl_mean = good ? 1e-5 : 1e-2,
                                       .kl_bound = 1e-4,
                                       .error_most = 1e-3,
                                       .error_bound = 2e-3,
                                       .first = -1,
                                       .greedy_ids = 29};
}

/* Whether the fixture's run has a note. */
static bool is_noted(const struct fixture *fixture, const char *note)
{
    struct summary summary;
    struct error err;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    bool noted = has_note(&summary, note);
    summary_free(&summary);
    return noted;
}

/* A token of the fixture's reads 1.0076 MB. */
static void what_the_processor_bends_is_noted(void **state)
{
    (void)state;
    static const char nodes[] = "belong to 2 memory nodes", cache[] = "part of it can come";
    static const struct {
        const char *manifest, *note;
        bool noted;
    } cases[] = {
        {"{\"machine\": {\"cpu\": {\"memory_nodes\": 2, \"memory_nodes_used\": 2}}}", nodes, true},
        {"{\"machine\": {\"cpu\": {\"memory_nodes\": 2, \"memory_nodes_used\": 1}}}", nodes, false},
        {"{\"machine\": {\"cpu\": {\"l3_bytes\": 252000}}}", cache, true},
        {"{\"machine\": {\"cpu\": {\"l3_bytes\": 251000}}}", cache, false},
        {"{}", nodes, false},
        {"{}", cache, false}};
    struct fixture *fixture = fixture_new(2);
    add(fixture, 0, 0, 20 * MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture->run.manifest = cases[i].manifest;
        assert_true(is_noted(fixture, cases[i].note) == cases[i].noted);
    }
    free(fixture);
}

/* A variant that is split over cards is held against all of them in each block: that is no drift.
 */
static void drift_is_of_a_variant(void **state)
{
    (void)state;
    static const char drifted[] = "the probe read between 1.0 and 2.0 GB/s";
    struct fixture *fixture = fixture_new(2);
    for (uint32_t block = 0; block < 2; block++)
        for (uint32_t variant = 0; variant < 2; variant++)
            add(fixture, block, variant, 20 * MS)->bandwidth = variant ? 2e9 : 1e9;
    assert_false(is_noted(fixture, "The memory's speed drifted"));
    fixture->processes[3].bandwidth = 1e9;
    assert_true(is_noted(fixture, drifted));
    free(fixture);
}

/* Of a split model nobody is sent to look for counters: on cards they are not read. */
static void energy_is_of_one_card(void **state)
{
    (void)state;
    static const struct {
        const char *plan, *why;
    } cases[] = {{"{\"device\": \"cuda\", \"variants\": [{\"shard\": 2}]}", "split over several"},
                 {"{\"device\": \"cuda\", \"variants\": [{}]}", "counters can be read"},
                 {"{\"device\": \"cpu\", \"variants\": [{\"shard\": 2}]}", "counters can be read"}};
    struct fixture *fixture = fixture_new(1);
    add(fixture, 0, 0, 20 * MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct summary summary;
        struct error err;
        fixture->run.plan = cases[i].plan;
        assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_OK);
        const struct estimate *metrics = summary.variants[0].metrics;
        assert_non_null(strstr(metrics[METRIC_IDLE_POWER].why, cases[i].why));
        assert_non_null(strstr(metrics[METRIC_ENERGY].why, cases[i].why));
        summary_free(&summary);
    }
    free(fixture);
}

/* Nothing is said of an engine that does not tell its threads, or where each has its own. */
static void fewer_threads_are_noted(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        uint32_t threads;
        bool noted;
    } cases[] = {{"{\"threads\": 2}", 1, true},
                 {"{\"threads\": 2}", 2, false},
                 {"{\"threads\": 2}", 0, false},
                 {"{\"threads\": 2, \"fair_comparison\": false}", 1, false}};
    struct fixture *fixture = fixture_new(2);
    add(fixture, 0, 0, 20 * MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture->run.plan = cases[i].plan;
        fixture->processes[0].threads = cases[i].threads;
        assert_true(is_noted(fixture, "e-f32 computed with 1 of the 2 threads") == cases[i].noted);
    }
    free(fixture);
}

static void other_things_are_not_compared(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(3);
    struct summary summary;
    struct error err;
    for (uint32_t block = 0; block < 6; block++) {
        add(fixture, block, 0, 20 * MS);
        add(fixture, block, 1, 10 * MS);
        add(fixture, block, 2, 5 * MS);
    }
    struct record_equivalence found[3] = {
        gated(true), gated(false), {.precision = "mixed", .why = "its engine gives no logits"}};
    fixture->run.equivalence = found;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_int_equal(summary.variants[0].equivalence, EQUIVALENCE_GIVEN);
    assert_int_equal(summary.variants[1].equivalence, EQUIVALENCE_FAILED);
    assert_int_equal(summary.variants[2].equivalence, EQUIVALENCE_UNGATED);
    close_to(summary.variants[0].metrics[METRIC_TOP1].value, 120.0 / 128);
    close_to(summary.variants[1].metrics[METRIC_KL_MEAN].value, 1e-2);
    assert_false(summary.variants[2].metrics[METRIC_KL_MEAN].known);
    assert_true(summary.variants[1].metrics[METRIC_TPOT].known);
    assert_false(summary.variants[1].metrics[METRIC_PRECISION_IMPACT].known);
    assert_non_null(find(&summary, 0, 2, METRIC_TPOT));
    assert_null(find(&summary, 0, 1, METRIC_TPOT));
    assert_null(find(&summary, 1, 2, METRIC_TPOT));
    assert_true(has_note(&summary, "e-f16 is NOT EQUIVALENT"));
    assert_true(has_note(&summary, "other was not gated: its engine gives no logits"));
    assert_false(has_note(&summary, "not checked"));
    found[0].greedy_ids = 0;
    summary_free(&summary);
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_true(has_note(&summary, "ids that e-f32 generated were not held against"));
    summary_free(&summary);
    free(fixture);
}

static void failures_and_gaps(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(4);
    struct summary summary;
    struct error err;
    for (uint32_t block = 0; block < 6; block++) {
        add(fixture, block, 0, MS);
        struct record_process *process = add(fixture, block, 1, MS);
        if (block % 2) {
            process->failure = "it died";
            process->log_tail = "Segmentation fault";
            process->token_count = 0;
        }
        process = add(fixture, block, 2, MS);
        process->failure = "no such library";
        process->token_count = 0;
    }
    fixture->run.state = "interrupted";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_int_equal(summary.blocks, 3);
    assert_int_equal(summary.blocks_planned, 6);
    assert_null(summary.variants[0].why);
    assert_int_equal(summary.variants[1].failures, 3);
    assert_string_equal(summary.variants[1].why, "it died");
    assert_string_equal(summary.variants[1].log_tail, "Segmentation fault");
    assert_int_equal(summary.variants[1].metrics[METRIC_TPOT].blocks, 3);
    assert_false(summary.variants[2].metrics[METRIC_TPOT].known);
    assert_int_equal(summary.variants[3].processes, 0);
    assert_string_equal(summary.variants[3].why, "not installed");
    assert_int_equal(find(&summary, 0, 1, METRIC_TPOT)->verdict, VERDICT_NONE);
    assert_null(find(&summary, 0, 2, METRIC_TPOT));
    assert_true(has_note(&summary, "e-f16 failed in 3 of 6 processes"));
    assert_true(has_note(&summary, "not complete: 3 of 6 blocks"));
    assert_true(has_note(&summary, "No verdict is claimed"));
    summary_free(&summary);
    free(fixture);
}

/* A pair that six blocks have keeps its verdict where a third variant died in one, and the notes
 * say of which pairs verdicts are. */
static void verdict_of_a_pair(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(3);
    struct summary summary;
    struct error err;
    for (uint32_t block = 0; block < 6; block++) {
        add(fixture, block, 0, 20 * MS);
        add(fixture, block, 1, 10 * MS);
        struct record_process *process = add(fixture, block, 2, MS);
        if (block == 5) {
            process->failure = "it died";
            process->token_count = 0;
        }
    }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_int_equal(summary.blocks, 5);
    assert_int_equal(find(&summary, 0, 1, METRIC_TPOT)->verdict, VERDICT_SLOWER);
    assert_int_equal(find(&summary, 0, 2, METRIC_TPOT)->verdict, VERDICT_NONE);
    assert_true(has_note(&summary, "Blocks with every variant: 5. Verdicts are of pairs alone"));
    assert_true(has_note(&summary, "Verdicts: differences beyond 2 %"));
    assert_false(has_note(&summary, "No verdict is claimed"));
    summary_free(&summary);
    free(fixture);
}

/* Tokens that still become faster are not called steady; ones that become slower are. */
static void falling_is_not_steady(void **state)
{
    (void)state;
    struct summary summary;
    struct error err;
    struct fixture *fixture = fixture_new(2);
    for (uint32_t block = 0; block < 3; block++)
        for (uint32_t variant = 0; variant < 2; variant++) {
            struct record_process *process = add(fixture, block, variant, 20 * MS);
            for (int64_t i = 1; i < TOKENS; i++)
                process->stamps_ns[i] =
                    process->stamps_ns[i - 1] + 20 * MS + (variant ? i : TOKENS - i) * MS / 20;
        }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_OK);
    assert_true(summary.variants[0].falling && !summary.variants[1].falling);
    /* 19 steps from the first that counts to the last, each 0.05 ms less; their median is 20.525.
     */
    close_to(summary.variants[0].metrics[METRIC_TREND].value, -19 * 0.05 / 20.525);
    close_to(summary.variants[1].metrics[METRIC_TREND].value, 19 * 0.05 / 20.725);
    bool told = false;
    for (size_t i = 0; i < summary.note_count; i++)
        told = told || strstr(summary.notes[i], "e-f32 was not steady");
    assert_true(told);
    summary_free(&summary);
    free(fixture);
}

/* A block that was done again counts by its last attempt; one that was broken off does not. */
static void attempts_are_chosen(void **state)
{
    (void)state;
    struct summary summary;
    struct error err;
    static struct record_reading busy[] = {{"foreign_cores", 0.9}, {"foreign_s", 3}};
    struct fixture *fixture = fixture_new(2);
    for (uint32_t attempt = 0; attempt < 3; attempt++)
        for (uint32_t variant = 0; variant < 2; variant++) {
            struct record_process *process = add(fixture, 0, variant, (40 - 10 * attempt) * MS);
            process->attempt = attempt;
            process->readings = busy;
            process->reading_count = attempt < 2 ? 2 : 0;
        }
    add(fixture, 1, 0, 20 * MS);
    struct record_process *last = add(fixture, 1, 1, 20 * MS);
    last->readings = busy;
    last->reading_count = 2;
    add(fixture, 1, 0, 90 * MS)->attempt = 1;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_OK);
    assert_int_equal(summary.run->process_count, 4);
    assert_int_equal(summary.blocks, 2);
    assert_int_equal(summary.redone, 3);
    assert_int_equal(summary.disturbed, 1);
    assert_int_equal(summary.variants[0].disturbed, 0);
    assert_int_equal(summary.variants[1].disturbed, 1);
    close_to(summary.variants[0].metrics[METRIC_TPOT].value, 0.02);
    summary_free(&summary);
    free(fixture);
}

/* A long list of disturbed blocks is told by its beginning, and a clock by what was before it. */
static void disturbed_blocks_are_told(void **state)
{
    (void)state;
    struct summary summary;
    struct error err;
    static struct record_reading busy[] = {{"foreign_cores", 0.9}, {"foreign_s", 3}},
                                 fast[] = {{"clock_hz", 3e9}}, slow[] = {{"clock_hz", 2e9}};
    struct fixture *fixture = fixture_new(2);
    for (uint32_t block = 0; block < 6; block++)
        for (uint32_t variant = 0; variant < 2; variant++) {
            struct record_process *process = add(fixture, block, variant, 20 * MS);
            process->readings = block == 0 ? fast : block == 1 ? slow : busy;
            process->reading_count = block < 2 ? 1 : block < 5 ? 2 : 0;
        }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_OK);
    assert_int_equal(summary.disturbed, 4);
    assert_true(has_note(&summary,
                         "4 blocks were disturbed and not measured again: block 2 (e-f32: the "
                         "clock was 2.00 GHz after 3.00), block 3 (e-f32: other programs used 0.90 "
                         "cores), block 4 (e-f32: other programs used 0.90 cores), and 1 more."));
    summary_free(&summary);
    free(fixture);
}

/* What a hostile or broken record may hold is left out, never shown as a figure. */
static void nonsense(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1);
    struct summary summary;
    struct error err;
    struct record_process *process = add(fixture, 0, 0, 0);
    process->bandwidth = NAN;
    process->memory_peak = -1;
    process->load_ready_ns = 0;
    process->warmup_steps = UINT32_MAX;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    for (size_t m = 0; m < METRIC_COUNT; m++)
        if (summary.variants[0].metrics[m].known)
            assert_true(isfinite(summary.variants[0].metrics[m].value));
    assert_false(summary.variants[0].metrics[METRIC_TPOT].known);
    assert_false(summary.variants[0].metrics[METRIC_MODEL_LOAD].known);
    assert_false(summary.variants[0].metrics[METRIC_PEAK_MEMORY].known);
    assert_false(summary.variants[0].metrics[METRIC_LIMIT_SHARE].known);
    summary_free(&summary);
    process->variant = 7;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_FORMAT);
    process->variant = 0;
    process->block = 4000000000;
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_FORMAT);
    fixture->run.process_count = 0;
    fixture->run.plan = "[";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), STATUS_FORMAT);
    fixture->run.plan = "";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_int_equal(summary.blocks, 0);
    assert_string_equal(summary.variants[0].why, "its turn did not come before the run ended");
    summary_free(&summary);
    free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_processor_bends_is_noted),
        cmocka_unit_test(drift_is_of_a_variant),
        cmocka_unit_test(energy_is_of_one_card),
        cmocka_unit_test(fewer_threads_are_noted),
        cmocka_unit_test(other_things_are_not_compared),
        cmocka_unit_test(failures_and_gaps),
        cmocka_unit_test(verdict_of_a_pair),
        cmocka_unit_test(falling_is_not_steady),
        cmocka_unit_test(attempts_are_chosen),
        cmocka_unit_test(disturbed_blocks_are_told),
        cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
