/* src/stats/divergence.c and src/bench/equivalence.c: on rows made by hand, whose answers are
 * known. tests/oracle/test_equivalence.py holds them against scipy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "bench/equivalence.h"
#include "bench/logits_file.h"

static void close_to(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 + 1e-6 * fabs(expected)))
        fail_msg("%.12g is not %.12g", value, expected);
}

static void rows_are_compared(void **state)
{
    (void)state;
    struct divergence_row row;
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): KL = log(2) / 4. */
    const float log2 = 0.69314718F;
    const float p[] = {log2, 0, 0}, q[] = {0, log2, 0}, shifted[] = {log2 + 5, 5, 5};
    divergence_of_row(p, q, 3, &row);
    assert_true(row.finite);
    close_to(row.kl, (double)log2 / 4);
    close_to(row.error, 1);
    assert_int_equal(row.best, 0);
    assert_int_equal(row.other_best, 1);
    close_to(row.margin, 1);
    divergence_of_row(p, p, 3, &row);
    assert_true(row.kl == 0 && row.error == 0 && row.margin == 0);
    /* A shift changes no probability, and is an error of the logits all the same. */
    divergence_of_row(p, shifted, 3, &row);
    assert_true(row.kl < 1e-6);
    close_to(row.error, 5 / (double)log2);
}

static void broken_rows_are_told(void **state)
{
    (void)state;
    struct divergence_row row;
    struct divergence all;
    const float good[] = {1, 2, 3}, nan[] = {1, NAN, 3}, infinite[] = {1, 2, INFINITY};
    const float flat[] = {1, 1, 1};
    divergence_start(&all);
    divergence_of_row(good, nan, 3, &row);
    assert_false(row.finite);
    divergence_add(&all, &row);
    divergence_of_row(good, infinite, 3, &row);
    assert_false(row.finite);
    divergence_add(&all, &row);
    divergence_of_row(good, good, 3, &row);
    divergence_add(&all, &row);
    assert_int_equal(all.rows, 3);
    assert_int_equal(all.broken, 2);
    assert_int_equal(all.agreeing, 1);
    /* Huge logits do not overflow. */
    const float huge[] = {1e38F, -1e38F, 3e38F};
    divergence_of_row(huge, huge, 3, &row);
    assert_true(row.finite && row.kl == 0);
    /* No range: equal rows have no error, others an infinite one. */
    divergence_of_row(flat, flat, 3, &row);
    assert_true(row.error == 0);
    divergence_of_row(flat, good, 3, &row);
    assert_true(isinf(row.error));
    assert_true(isinf(divergence_margin(good, 3, 7)));
    close_to(divergence_margin(good, 3, 1), 0.5);
}

static void first_divergence_is_kept(void **state)
{
    (void)state;
    struct divergence_row row;
    struct divergence all;
    const float reference[][2] = {{0, 1}, {0, 1}, {0, 2}}, other[][2] = {{0, 1}, {1, 0}, {2, 1}};
    divergence_start(&all);
    assert_int_equal(all.first, -1);
    for (int i = 0; i < 3; i++) {
        divergence_of_row(reference[i], other[i], 2, &row);
        divergence_add(&all, &row);
    }
    assert_int_equal(all.first, 1);
    close_to(all.first_margin, 1);
    assert_int_equal(all.agreeing, 1);
}

/* p = (1/2, 1/4, 1/4) against rows that tell some of q alone. */
static void rows_that_tell_some_ids_are_compared(void **state)
{
    (void)state;
    struct divergence_row row;
    const double log2 = log(2);
    const float p[] = {(float)log2, 0, 0};
    /* q(0) = 1/4, and 3/4 for the others: KL = log(2)/2 + log(2/3)/2. One id has no error. */
    divergence_of_part(p, (const float[]){(float)(-2 * log2), NAN, NAN}, 3, &row);
    assert_true(row.finite && row.part && row.told == 1);
    assert_true(fabs(row.kl - log2 / 2 - log(2.0 / 3) / 2) < 1e-6);
    assert_true(row.error == 0 && row.best == 0 && row.other_best == 0);
    /* q = (1/4, 1/2, rest 1/4): all is told, and the logits can be shifted to within log(2) each.
     */
    divergence_of_part(p, (const float[]){(float)(-2 * log2), (float)-log2, NAN}, 3, &row);
    close_to(row.kl, log2 / 4);
    close_to(row.error, 1);
    assert_true(row.told == 2 && row.other_best == 1);
    /* The same as p; and p with what float32 makes of a share that is all but 1. */
    divergence_of_part(p, (const float[]){(float)-log2, NAN, (float)(-2 * log2)}, 3, &row);
    assert_true(row.kl < 1e-7 && row.error < 1e-7);
    divergence_of_part((const float[]){0, -20, -20}, (const float[]){0, NAN, NAN}, 3, &row);
    assert_true(row.finite && row.kl < 1e-8);
    /* It says that what the reference takes half of the time does not come. */
    divergence_of_part((const float[]){0, 0}, (const float[]){0, NAN}, 2, &row);
    assert_true(row.finite && row.kl > 5);
}

static void rows_that_tell_no_probabilities_are_told(void **state)
{
    (void)state;
    const float p[] = {1, 2, 3};
    const float rows[][3] = {{-1, -0.1F, -0.1F},
                             {0.5F, NAN, NAN},
                             {-INFINITY, NAN, NAN},
                             {NAN, NAN, NAN},
                             {NAN, NAN, -0.4F}};
    struct divergence_row row;
    struct divergence all;
    struct record_equivalence record = {0};
    divergence_start(&all);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        divergence_of_part(p, rows[i], 3, &row);
        divergence_add(&all, &row);
    }
    assert_true(all.rows == 5 && all.broken == 3 && all.untold == 1 && all.told_most == 3);
    equivalence_record(&record, &all);
    assert_true(record.positions == 4 && record.broken == 3 && record.agreeing == 1);
    assert_int_equal(record.told, 3);
    close_to(record.kl_mean, all.kl_sum);
}

/* A record that is within all of its bounds. */
static struct record_equivalence sound(void)
{
    struct record_equivalence record = {.precision = "float16",
                                        .positions = 128,
                                        .agreeing = 127,
                                        .kl_mean = 1e-5,
                                        .error_most = 1e-3,
                                        .first = 5,
                                        .greedy_ids = 29,
                                        .greedy_margin = 1e-3};
    const struct equivalence_scale scale = {.kl_mean = 1e-3, .error_most = 0.02};
    assert_true(equivalence_bounds("float16", &scale, &record.kl_bound, &record.error_bound));
    return record;
}

static void expect(const struct record_equivalence *record, enum equivalence verdict,
                   const char *reason)
{
    struct arena arena = {0};
    assert_int_equal(equivalence_judge(record), verdict);
    const char *text = reason ? equivalence_reason(record, &arena) : "";
    if (reason && !strstr(text, reason))
        fail_msg("\"%s\" lacks \"%s\"", text, reason);
    arena_free(&arena);
}

static void verdicts(void **state)
{
    (void)state;
    struct record_equivalence record = sound();
    expect(&record, EQUIVALENCE_GIVEN, NULL);
    record.kl_mean = record.kl_bound * 1.01;
    expect(&record, EQUIVALENCE_FAILED, "mean KL divergence");
    record = sound();
    record.error_most = record.error_bound * 1.01;
    expect(&record, EQUIVALENCE_FAILED, "a logit is off");
    record = sound();
    record.broken = 1;
    expect(&record, EQUIVALENCE_FAILED, "1 of 128 positions are not finite");
    record = sound();
    record.greedy_margin = 2.01 * record.error_bound;
    expect(&record, EQUIVALENCE_FAILED, "though its logits are right");
    record = (struct record_equivalence){.precision = "mixed", .why = "it gives none"};
    expect(&record, EQUIVALENCE_UNGATED, "it gives none");
    record = (struct record_equivalence){0};
    expect(&record, EQUIVALENCE_UNKNOWN, NULL);
    assert_false(equivalence_is_by_ids(&record));
    expect(NULL, EQUIVALENCE_UNKNOWN, NULL);
}

/* What tells probabilities of some ids is told to be a least. */
static void verdicts_by_probabilities(void **state)
{
    (void)state;
    struct record_equivalence record = sound();
    record.told = 20;
    record.positions = 93;
    assert_false(equivalence_is_by_ids(&record));
    expect(&record, EQUIVALENCE_GIVEN, NULL);
    record.kl_mean = record.kl_bound * 1.01;
    expect(&record, EQUIVALENCE_FAILED, "reference is by 20 ids at 93 positions at least ");
    record.kl_mean = 0;
    record.error_most = record.error_bound * 1.01;
    expect(&record, EQUIVALENCE_FAILED, "a logit is off by at least ");
    record.error_most = 0;
    record.greedy_margin = 2.01 * record.error_bound;
    expect(&record, EQUIVALENCE_FAILED, "though the probabilities that it tells are right");
    record.broken = 2;
    expect(&record, EQUIVALENCE_FAILED, "what it tells at 2 of 93 positions are no probabilities");
}

/* An engine that gives text alone: no positions, only ids. */
static void verdicts_by_ids(void **state)
{
    (void)state;
    struct record_equivalence record = {
        .precision = "float16", .error_bound = 0.01, .greedy_ids = 29, .greedy_margin = 0.0199};
    assert_true(equivalence_is_by_ids(&record));
    expect(&record, EQUIVALENCE_GIVEN, NULL);
    record.greedy_margin = 0.0201;
    expect(&record, EQUIVALENCE_FAILED, "below the best where float16 allows 2 %");
    record.greedy_margin = 0;
    record.greedy_ids = 0;
    expect(&record, EQUIVALENCE_UNGATED, "no ids of it were checked");
    record = sound();
    assert_false(equivalence_is_by_ids(&record));
}

static void bounds_follow_the_precision(void **state)
{
    (void)state;
    const struct equivalence_scale scale = {.kl_mean = 1e-3, .error_most = 0.02};
    double kl[3], error[3];
    assert_true(equivalence_bounds("float32", &scale, &kl[0], &error[0]));
    assert_true(equivalence_bounds("float16", &scale, &kl[1], &error[1]));
    assert_true(equivalence_bounds("bfloat16", &scale, &kl[2], &error[2]));
    assert_true(kl[0] < kl[1] / 100 && error[0] < error[1] / 10);
    close_to(kl[2], kl[1] * 64);
    close_to(error[2], error[1] * 8);
    assert_true(kl[2] > scale.kl_mean && error[2] > scale.error_most);
    assert_false(equivalence_bounds("int3", &scale, &kl[0], &error[0]));
}

static void file_write(const struct logits_file *file, const float *values, size_t count)
{
    FILE *stream = fopen(file->path, "wb");
    assert_int_equal(fwrite(values, sizeof *values, count, stream), count);
    fclose(stream);
}

static void files_are_read_row_by_row(void **state)
{
    (void)state;
    struct error err;
    struct logits_file one, other;
    struct divergence found;
    double margin;
    size_t worst;
    const float a[] = {0, 1, 4, 0, 0, 2}, b[] = {0, 1, 4, 0, 1, 2};
    const int32_t ids[] = {2, 1};
    assert_int_equal(logits_file_make(&one, 3, &err), 0);
    assert_int_equal(logits_file_make(&other, 3, &err), 0);
    file_write(&one, a, 6);
    file_write(&other, b, 6);
    assert_int_equal(logits_files_compare(&one, &other, 2, &found, NULL, &err), 0);
    assert_int_equal(found.rows, 2);
    close_to(found.error_most, 0.5);
    assert_int_equal(logits_file_margins(&one, 0, ids, 2, &margin, &worst, &err), 0);
    close_to(margin, 1);
    assert_int_equal(worst, 1);
    assert_int_equal(logits_files_compare(&one, &other, 3, &found, NULL, &err), STATUS_IO);
    char path[sizeof one.path];
    memcpy(path, one.path, sizeof path);
    logits_file_remove(&one);
    logits_file_remove(&other);
    assert_null(fopen(path, "rb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_compared),
        cmocka_unit_test(broken_rows_are_told),
        cmocka_unit_test(first_divergence_is_kept),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(verdicts_by_probabilities),
        cmocka_unit_test(rows_that_tell_some_ids_are_compared),
        cmocka_unit_test(rows_that_tell_no_probabilities_are_told),
        cmocka_unit_test(verdicts_by_ids),
        cmocka_unit_test(bounds_follow_the_precision),
        cmocka_unit_test(files_are_read_row_by_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
