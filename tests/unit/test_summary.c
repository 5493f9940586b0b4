/* src/bench/summary: from records made by hand, whose answers are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/summary.h"

enum { TOKENS = 25, WARMUP = 4, MS = 1000000 };

struct fixture {
    struct record_run run;
    struct record_variant variants[4];
    struct record_process processes[64];
    int64_t stamps[64][TOKENS];
    int32_t ids[TOKENS];
};

static struct fixture *fixture_new(size_t variants)
{
    static const struct record_variant kinds[4] = {
        {.name = "e-f32", .title = "E-F32", .engine = "e", .precision = "float32", .about = ""},
        {.name = "e-f16", .title = "E-F16", .engine = "e", .precision = "float16", .about = ""},
        {.name = "other", .title = "Other", .engine = "o", .precision = "mixed", .about = ""},
        {.name = "gone",
         .title = "Gone",
         .engine = "g",
         .precision = "mixed",
         .about = "",
         .unavailable = "not installed"}};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    memcpy(fixture->variants, kinds, sizeof kinds);
    fixture->run = (struct record_run){.id = 1,
                                       .created = "2026-01-31T12:00:00Z",
                                       .state = "complete",
                                       .plan = "{\"blocks\": 6, \"iterations\": 20,"
                                               " \"prompt_tokens\": 64}",
                                       .manifest = "{}",
                                       .variants = fixture->variants,
                                       .variant_count = variants,
                                       .processes = fixture->processes};
    return fixture;
}

/* A process whose every step takes step_ns, and whose other times are multiples of it. */
static struct record_process *add(struct fixture *fixture, uint32_t block, uint32_t variant,
                                  int64_t step_ns)
{
    size_t at = fixture->run.process_count++;
    int64_t now = (int64_t)(at + 1) * 1000000000000;
    struct record_process *process = &fixture->processes[at];
    *process = (struct record_process){
        .block = block,
        .variant = variant,
        .spawned_ns = now,
        .hello_ns = now + step_ns,
        .load_asked_ns = now + 2 * step_ns,
        .load_ready_ns = now + 12 * step_ns,
        .weight_bytes = 1000000,
        .kv_token_bytes = 100,
        .threads = 2,
        .precision = "float16",
        .cold_asked_ns = now + 15 * step_ns,
        .cold_prompt_ns = now + 16 * step_ns,
        .cold_first_ns = now + 24 * step_ns,
        .prompt_tokens = 64,
        .prompt_ns = now + 100 * step_ns,
        .stamps_ns = fixture->stamps[at],
        .ids = fixture->ids,
        .token_count = TOKENS,
        .warmup_steps = WARMUP,
        .memory_before = 5000000,
        .memory_loaded = 6000000,
        .memory_peak = 7000000,
        .device_before = -1,
        .device_loaded = -1,
        .device_peak = -1,
        .memory_method = "",
        .bandwidth = 1e9,
    };
    for (int64_t i = 0; i < TOKENS; i++)
        fixture->stamps[at][i] = process->prompt_ns + (4 + i) * step_ns;
    return process;
}

static void close_to(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fabs(expected)))
        fail_msg("%.12g is not %.12g", value, expected);
}

static const struct comparison *find(const struct summary *summary, size_t a, size_t b,
                                     enum metric metric)
{
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct comparison *comparison = &summary->comparisons[i];
        if (comparison->a == a && comparison->b == b && comparison->metric == metric)
            return comparison;
    }
    return NULL;
}

static bool has_note(const struct summary *summary, const char *part)
{
    for (size_t i = 0; i < summary->note_count; i++)
        if (strstr(summary->notes[i], part))
            return true;
    return false;
}

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

/* What a hostile or broken record may hold is left out, never shown as a figure. */
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
        cmocka_unit_test(verdicts),
        cmocka_unit_test(failures_and_gaps),
        cmocka_unit_test(falling_is_not_steady),
        cmocka_unit_test(attempts_are_chosen),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(control_widens_the_zone),
        cmocka_unit_test(other_things_are_not_compared),
        cmocka_unit_test(changes_are_measured_alone),
        cmocka_unit_test(control_is_never_narrower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
