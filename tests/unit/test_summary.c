/* src/bench/summary: figures, comparisons and verdicts of records whose answers are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../support/summary_fixture.h"

static void metrics_of_one_process(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(1);
    struct summary summary;
    struct error err;
    struct record_process *process = add(fixture, 0, 0, MS);
    struct record_phase import = {"import", process->load_asked_ns, process->load_asked_ns + MS};
    process->phases = &import;
    process->phase_count = 1;
    process->embedding_bytes = 200000;
    process->precision = "float16";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    const struct estimate *metrics = summary.variants[0].metrics;
    close_to(metrics[METRIC_PROCESS_START].value, 2e-3);
    close_to(metrics[METRIC_MODEL_LOAD].value, 9e-3);
    close_to(metrics[METRIC_COLD_START].value, 8e-3);
    close_to(metrics[METRIC_START_TO_FIRST_TOKEN].value, (1 + 10 + 9) * 1e-3);
    close_to(metrics[METRIC_TTFT].value, 4e-3);
    close_to(metrics[METRIC_PREFILL_RATE].value, 16000);
    close_to(metrics[METRIC_TPOT].value, 1e-3);
    close_to(metrics[METRIC_TPOT_MEDIAN].value, 1e-3);
    close_to(metrics[METRIC_THROUGHPUT].value, 1000);
    close_to(metrics[METRIC_PEAK_THROUGHPUT].value, 1000);
    close_to(metrics[METRIC_WARMUP_IMPROVEMENT].value, 2);
    close_to(metrics[METRIC_TOTAL_TIME].value, 28e-3);
    close_to(metrics[METRIC_MODEL_MEMORY].value, 1e6);
    close_to(metrics[METRIC_PEAK_MEMORY].value, 7e6);
    close_to(metrics[METRIC_MEMORY_OVERHEAD].value, 6e6);
    /* Counted tokens 5 ... 24 read the cache of 64 + 5 ... 64 + 24 positions. */
    close_to(metrics[METRIC_LIMIT_SHARE].value, (800000 + 100 * (64 + 14.5)) / 1e-3 / 1e9);
    assert_false(metrics[METRIC_DEVICE_MEMORY].known);
    assert_false(metrics[METRIC_TPOT_P90].known);
    assert_string_equal(metrics[METRIC_TPOT_P90].why, "needs 64 tokens, has 20");
    assert_int_equal(summary.blocks, 1);
    assert_int_equal(summary.iterations, 20);
    assert_true(metrics[METRIC_TPOT].low == metrics[METRIC_TPOT].value);
    assert_string_equal(summary.variants[0].precision, "float16");
    summary_free(&summary);
    free(fixture);
}

/* Both drift by a factor of three over the blocks; their ratio is 2 within each. */
static void drift_cancels(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2);
    struct summary summary;
    struct error err;
    for (uint32_t block = 0; block < 6; block++) {
        int64_t step = MS + block * 400000;
        add(fixture, block, 0, 2 * step + block % 3 * 1000);
        add(fixture, block, 1, step);
    }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    const struct comparison *tpot = find(&summary, 0, 1, METRIC_TPOT);
    assert_non_null(tpot);
    assert_true(fabs(tpot->ratio.value - 0.5) < 0.001);
    assert_true(tpot->ratio.low > 0.499 && tpot->ratio.high < 0.501);
    assert_int_equal(tpot->ratio.blocks, 6);
    assert_int_equal(tpot->verdict, VERDICT_SLOWER);
    assert_int_equal(find(&summary, 0, 1, METRIC_PEAK_MEMORY)->verdict, VERDICT_SAME);
    const struct estimate *impact = &summary.variants[1].metrics[METRIC_PRECISION_IMPACT];
    assert_true(impact->known && fabs(impact->value - 2) < 0.01);
    close_to(summary.variants[0].metrics[METRIC_PRECISION_IMPACT].value, 1);
    assert_true(summary.variants[0].metrics[METRIC_TPOT].high >
                1.2 * summary.variants[0].metrics[METRIC_TPOT].low);
    assert_true(summary.variants[0].metrics[METRIC_TPOT_P90].known);
    assert_false(summary.variants[0].metrics[METRIC_TPOT_P99].known);
    assert_true(has_note(&summary, "Verdicts: differences beyond 2 %"));
    assert_true(has_note(&summary, "not checked"));
    summary_free(&summary);
    free(fixture);
}

/* A variant for 16 bits that computes in float32 on this device shows no effect of precision. */
static void precision_is_what_was_computed_in(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_new(2);
    struct summary summary;
    struct error err;
    add(fixture, 0, 0, 2 * MS);
    add(fixture, 0, 1, MS)->precision = "float32";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    close_to(summary.variants[1].metrics[METRIC_PRECISION_IMPACT].value, 1);
    summary_free(&summary);
    free(fixture);
}

/* Four corners of one engine: each change is measured alone, and its ratio says what it is to. */
static void changes_are_measured_alone(void **state)
{
    (void)state;
    static const char plan[] =
        "{\"blocks\": 6, \"variants\": [{\"name\": \"a\"}, {\"name\": \"b\"},"
        " {\"name\": \"c\", \"compiled\": true}, {\"name\": \"d\", \"compiled\": true}]}";
    static const char *const names[] = {"a", "b", "c", "d"}, *const precisions[] = {
                                                                 "float32", "float16", "float32",
                                                                 "float16"};
    static const int64_t steps[] = {40, 30, 20, 10};
    struct fixture *fixture = fixture_new(4);
    struct summary summary;
    struct error err;
    fixture->run.plan = plan;
    for (uint32_t i = 0; i < 4; i++) {
        fixture->variants[i] = (struct record_variant){.name = names[i],
                                                       .title = names[i],
                                                       .engine = "e",
                                                       .precision = precisions[i],
                                                       .about = ""};
        for (uint32_t block = 0; block < 6; block++)
            add(fixture, block, i, steps[i] * MS);
    }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    const struct estimate *precision = &summary.variants[3].metrics[METRIC_PRECISION_IMPACT];
    const struct estimate *compiling = &summary.variants[3].metrics[METRIC_COMPILE_BENEFIT];
    close_to(precision->value, 2);
    assert_string_equal(precision->against, "c");
    close_to(compiling->value, 3);
    assert_string_equal(compiling->against, "b");
    close_to(summary.variants[1].metrics[METRIC_PRECISION_IMPACT].value, 4.0 / 3);
    close_to(summary.variants[2].metrics[METRIC_COMPILE_BENEFIT].value, 2);
    assert_false(summary.variants[0].metrics[METRIC_COMPILE_BENEFIT].known);
    assert_null(summary.variants[0].metrics[METRIC_COMPILE_BENEFIT].why);
    summary_free(&summary);
    /* Without its corner, a change is not measured, and says what that takes. */
    fixture->variants[1].engine = "other";
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    assert_string_equal(summary.variants[3].metrics[METRIC_COMPILE_BENEFIT].why,
                        "needs an uncompiled float16 variant of its engine");
    assert_string_equal(summary.variants[1].metrics[METRIC_PRECISION_IMPACT].why,
                        "needs an uncompiled float32 variant of its engine");
    summary_free(&summary);
    free(fixture);
}

static enum verdict verdict_for(const double *factors, size_t blocks)
{
    struct fixture *fixture = fixture_new(3);
    struct summary summary;
    struct error err;
    for (uint32_t block = 0; block < blocks; block++) {
        add(fixture, block, 0, MS);
        add(fixture, block, 1, (int64_t)(MS * factors[block]));
    }
    assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
    enum verdict verdict = find(&summary, 0, 1, METRIC_TPOT)->verdict;
    summary_free(&summary);
    free(fixture);
    return verdict;
}

static void verdicts(void **state)
{
    (void)state;
    const double faster[] = {1.5, 1.52, 1.49, 1.51, 1.5, 1.48};
    const double same[] = {1.003, 0.998, 1.001, 0.999, 1.002, 1.0};
    const double scattered[] = {1.5, 0.7, 1.2, 0.9, 1.4, 0.8};
    /* Surely above 1, not surely outside the zone of 2 %. */
    const double slight[] = {1.018, 1.019, 1.021, 1.022, 1.02, 1.021};
    assert_int_equal(verdict_for(faster, 6), VERDICT_FASTER);
    assert_int_equal(verdict_for(faster, 5), VERDICT_NONE);
    assert_int_equal(verdict_for(faster, 1), VERDICT_NONE);
    assert_int_equal(verdict_for(same, 6), VERDICT_SAME);
    assert_int_equal(verdict_for(scattered, 6), VERDICT_UNDECIDED);
    assert_int_equal(verdict_for(slight, 6), VERDICT_UNDECIDED);
}

static void table_is_complete(void **state)
{
    (void)state;
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        const struct metric_info *info = &metric_infos[m];
        assert_non_null(info->key);
        assert_non_null(info->title);
        assert_non_null(info->meaning);
        assert_true(info->scale > 0 && info->group < GROUP_COUNT);
        for (size_t other = 0; other < m; other++)
            assert_string_not_equal(info->key, metric_infos[other].key);
    }
}

/* The same figures without and with a control: its own noise widens the zone, and it is in no
 * comparison itself. */
static void control_widens_the_zone(void **state)
{
    (void)state;
    for (int controlled = 0; controlled < 2; controlled++) {
        struct fixture *fixture = fixture_new(3);
        struct summary summary;
        struct error err;
        if (controlled)
            fixture->run.plan = "{\"blocks\": 6, \"variants\": [{\"name\": \"e-f32\"}, {\"name\": "
                                "\"e-f16\"}, {\"name\": \"other\", \"control_of\": \"e-f32\"}]}";
        for (uint32_t block = 0; block < 6; block++) {
            add(fixture, block, 0, MS);
            add(fixture, block, 1, MS + MS / 25 + (block % 2) * 10);
            add(fixture, block, 2, block % 2 ? MS + MS / 10 : MS - MS / 10);
        }
        assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
        const struct control *control = &summary.controls[METRIC_TPOT];
        assert_int_equal(find(&summary, 0, 1, METRIC_TPOT)->verdict,
                         controlled ? VERDICT_SAME : VERDICT_FASTER);
        assert_int_equal(control->ratio.known, controlled);
        assert_int_equal(has_note(&summary, "A/A control: e-f32 ran twice"), controlled);
        assert_int_equal(has_note(&summary, "as a control"), !controlled);
        assert_int_equal(find(&summary, 0, 2, METRIC_TPOT) == NULL, controlled);
        assert_int_equal(find(&summary, 1, 2, METRIC_TPOT) == NULL, controlled);
        close_to(control->zone,
                 controlled ? log(control->ratio.high / control->ratio.low) / 2 : log(1.02));
        summary_free(&summary);
        free(fixture);
    }
}

/* A quiet control leaves the zone at 2 %; a plan that names no variant has no control. */
static void control_is_never_narrower(void **state)
{
    (void)state;
    static const char *const plans[] = {
        "{\"variants\": [{}, {\"control_of\": \"e-f32\"}]}",
        "{\"variants\": [{}, {\"control_of\": \"nobody\"}, {\"control_of\": \"e-f32\"}]}",
        "{\"variants\": [{\"control_of\": \"e-f32\"}, {\"control_of\": 7}]}",
        "{\"variants\": 7}",
    };
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        struct fixture *fixture = fixture_new(2);
        struct summary summary;
        struct error err;
        fixture->run.plan = plans[i];
        for (uint32_t block = 0; block < 6; block++) {
            add(fixture, block, 0, MS);
            add(fixture, block, 1, MS);
        }
        assert_int_equal(summary_make(&summary, &fixture->run, &err), 0);
        assert_int_equal(summary.control, i == 0);
        close_to(summary.controls[METRIC_TPOT].zone, log(1.02));
        assert_int_equal(has_note(&summary, "(speed: beyond 2.0 %)"), i == 0);
        summary_free(&summary);
        free(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_of_one_process),
        cmocka_unit_test(drift_cancels),
        cmocka_unit_test(changes_are_measured_alone),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(control_widens_the_zone),
        cmocka_unit_test(control_is_never_narrower),
        cmocka_unit_test(precision_is_what_was_computed_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
