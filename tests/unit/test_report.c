/* Reports against golden files: tests/golden/NAME. PRONY_GOLDEN_UPDATE=1 writes them anew; look at
 * each before it is committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "../support/report_fixture.h"
#include "base/file.h"
#include "report/report.h"
#include "report/text.h"

typedef enum status writer_function(const struct summary *, const struct report_options *, FILE *,
                                    struct error *);

static char *written(writer_function *write, const struct summary *summary,
                     const struct report_options *options)
{
    struct error err;
    char *text = NULL;
    size_t bytes;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    assert_int_equal(write(summary, options, stream, &err), STATUS_OK);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void check_golden(writer_function *write, const struct summary *summary,
                         const struct report_options *options, const char *name)
{
    char path[512];
    struct error err;
    char *text = written(write, summary, options), *golden;
    size_t bytes;
    snprintf(path, sizeof path, "%s/golden/%s", TEST_DATA, name);
    if (getenv("PRONY_GOLDEN_UPDATE")) {
        struct file_writer writer;
        assert_int_equal(file_writer_open(&writer, path, &err), STATUS_OK);
        fputs(text, writer.stream);
        assert_int_equal(file_writer_commit(&writer, &err), STATUS_OK);
    }
    assert_int_equal(file_read(path, 1 << 20, &golden, &bytes, &err), STATUS_OK);
    assert_string_equal(text, golden);
    free(golden);
    free(text);
}

static const struct report_options columns_80 = {.width = 80}, columns_200 = {.width = 200},
                                   wide_80 = {.width = 80, .wide = true};

static void test_three_variants(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 10);
    check_golden(report_print, &fixture->summary, &columns_80, "three.txt");
    check_golden(report_print, &fixture->summary, &wide_80, "three-wide.txt");
    check_golden(report_print, &fixture->summary, &columns_200, "three-200.txt");
}

static void test_one_failed(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_failed, THREE, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "failed.txt");
}

static void test_one_block(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 1);
    check_golden(report_print, &fixture->summary, &columns_80, "one-block.txt");
}

/* One block has no interval, and its share is shown all the same. */
static void test_share_above_limit(void **state)
{
    struct fixture *fixture = *state;
    static const double shares[] = {1.004, 1.37};
    for (size_t i = 0; i < 2; i++) {
        fixture_make(fixture, fixture_three, THREE, 1);
        fixture->rows[0].metrics[METRIC_LIMIT_SHARE] =
            (struct estimate){.known = true, .value = shares[i], .blocks = 1};
        char *text = written(report_print, &fixture->summary, &columns_200);
        assert_int_equal(strstr(text, "A share above 100 % means") != NULL, i);
        free(text);
    }
}

static void test_three_blocks(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 3);
    check_golden(report_print, &fixture->summary, &columns_80, "three-blocks.txt");
}

/* Of many pairs the first are named, and the others counted. */
static void test_much_is_undecided(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_many, MANY, 6);
    for (size_t i = 0; i < fixture->summary.comparison_count; i++)
        fixture->comparisons[i].verdict = VERDICT_UNDECIDED;
    char *text = written(report_print, &fixture->summary, &columns_200);
    assert_non_null(strstr(text, "and 32 more pairs"));
    free(text);
    for (size_t i = 0; i < fixture->summary.comparison_count; i++)
        fixture->comparisons[i].more_blocks = i % 2;
    text = written(report_print, &fixture->summary, &columns_200);
    assert_non_null(strstr(text, "in speed (over +1000), "));
    assert_non_null(strstr(text, "(+1)"));
    free(text);
}

static void test_one_variant(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, &fixture_three[1], 1, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "one-variant.txt");
}

static void test_many_variants(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_many, MANY, 6);
    check_golden(report_print, &fixture->summary, &columns_80, "many.txt");
    check_golden(report_print, &fixture->summary, &columns_200, "many-200.txt");
    check_golden(report_print, &fixture->summary, &wide_80, "many-wide.txt");
}

static void test_nothing_measured(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, &fixture_failed[1], 1, 6);
    fixture->summary.blocks = 0;
    check_golden(report_print, &fixture->summary, &columns_80, "nothing.txt");
}

/* Titles, reasons and logs are a third party's: they may hold anything. */
static void test_hostile_texts(void **state)
{
    struct fixture *fixture = *state;
    fixture_hostile(fixture);
    check_golden(report_print, &fixture->summary, &columns_80, "hostile.txt");
    check_golden(report_json.write, &fixture->summary, &columns_80, "hostile.json");
    check_golden(report_csv.write, &fixture->summary, &columns_80, "hostile.csv");
    check_golden(report_samples_csv.write, &fixture->summary, &columns_80, "hostile.samples.csv");
    check_golden(report_markdown.write, &fixture->summary, &columns_80, "hostile.md");
}

static void test_file_forms(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 6);
    check_golden(report_json.write, &fixture->summary, &wide_80, "three.json");
    check_golden(report_csv.write, &fixture->summary, &wide_80, "three.csv");
    check_golden(report_samples_csv.write, &fixture->summary, &wide_80, "three.samples.csv");
    check_golden(report_markdown.write, &fixture->summary, &wide_80, "three.md");
}

/* Some of the blocks failed, one variant could not run, one figure is worse by a verdict. */
static void test_partly_failed(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_failed, THREE, 8);
    fixture->rows[0].failures = 2;
    fixture->rows[0].why = "no reply to generate within 60 s";
    fixture->rows[1] = (struct summary_variant){.variant = &fixture->variants[1],
                                                .precision = "float16",
                                                .why = "it is not installed: run 'prony engines "
                                                       "install broken'"};
    for (size_t i = 0; i < fixture->summary.comparison_count; i++)
        if (fixture->comparisons[i].metric == METRIC_MODEL_LOAD)
            fixture->comparisons[i] = (struct comparison){
                .a = 2,
                .b = 0,
                .metric = METRIC_MODEL_LOAD,
                .ratio = {true, 0.8, 0.7, 0.9, 8, NULL},
                .verdict = VERDICT_SLOWER,
            };
    fixture->comparisons[0].verdict = VERDICT_NONE;
    fixture->comparisons[0].ratio.blocks = 4;
    fixture->rows[2].metrics[METRIC_LIMIT_SHARE] =
        (struct estimate){true, 1.3, 1.2, 1.4, 8, NULL, NULL};
    fixture->run.state = "interrupted";
    check_golden(report_print, &fixture->summary, &columns_80, "partly-failed.txt");
}

static size_t widest_line(const char *text)
{
    size_t widest = 0;
    while (*text) {
        size_t bytes = strcspn(text, "\n");
        char *line = strndup(text, bytes);
        assert_non_null(line);
        assert_true(bytes == 0 || line[bytes - 1] != ' ');
        widest = text_width(line) > widest ? text_width(line) : widest;
        free(line);
        text += bytes + (text[bytes] == '\n');
    }
    return widest;
}

static void test_every_width_fits(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned width = 60; width <= 240; width++) {
        for (int wide = 0; wide <= 1; wide++) {
            struct report_options options = {.width = width, .wide = wide};
            fixture_make(fixture, fixture_many, MANY, width % 8 + 1);
            char *text = written(report_print, &fixture->summary, &options);
            assert_in_range(widest_line(text), 1, width);
            free(text);
        }
    }
    /* Too narrow for even one column, it still prints each of them. */
    char *text = written(report_print, &fixture->summary, &(struct report_options){.width = 1});
    assert_non_null(strstr(text, "onnxruntime-opt"));
    free(text);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

static void test_colour_marks_the_best(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_failed, THREE, 6);
    struct report_options options = {.width = 80, .colour = true};
    char *text = written(report_table.write, &fixture->summary, &options);
    assert_non_null(strstr(text, "\033[1;32m77.8\033[0m"));
    assert_null(strstr(text, "\033[1;32m36.8"));
    assert_non_null(strstr(text, "\033[31mfailed\033[0m"));
    /* Both reach the same share of the limit: neither is marked. */
    assert_null(strstr(text, "\033[1;32m84"));
    free(text);
    char *plain = written(report_print, &fixture->summary, &columns_80);
    assert_int_equal(count_of(plain, "\033"), 0);
    free(plain);
}

static void test_no_verdict_words_without_verdicts(void **state)
{
    struct fixture *fixture = *state;
    for (size_t blocks = 1; blocks <= 5; blocks++) {
        fixture_make(fixture, fixture_many, MANY, blocks);
        char *text = written(report_print, &fixture->summary, &columns_80);
        static const char *const words[] = {"faster", "slower", "as fast as", "less memory",
                                            "Undecided"};
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            assert_null(strstr(text, words[i]));
        assert_non_null(strstr(text, "this is no verdict"));
        free(text);
    }
}

static void test_form_by_extension(void **state)
{
    (void)state;
    struct error err;
    const struct report_form *form = NULL;
    assert_int_equal(report_form_for("a/run.json", &form, &err), STATUS_OK);
    assert_ptr_equal(form, &report_json);
    assert_int_equal(report_form_for("run.csv", &form, &err), STATUS_OK);
    assert_ptr_equal(form, &report_csv);
    assert_int_equal(report_form_for("run.samples.csv", &form, &err), STATUS_OK);
    assert_ptr_equal(form, &report_samples_csv);
    assert_int_equal(report_form_for("run.md", &form, &err), STATUS_OK);
    assert_ptr_equal(form, &report_markdown);
    assert_int_equal(report_form_for("run.html", &form, &err), STATUS_OK);
    assert_ptr_equal(form, &report_html);
    static const char *const wrong[] = {"run.htm", "run", ".json", "", "json", "run.json.gz"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(report_form_for(wrong[i], &form, &err), STATUS_USAGE);
        assert_string_equal(err.where, wrong[i]);
        assert_non_null(strstr(err.remedy, ".json, .samples.csv, .points.csv, .csv, .md or .html"));
    }
}

static void test_written_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 6);
    char path[512];
    struct error err;
    char *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/report-%ld.json", BUILD_FOLDER, (long)getpid());
    assert_int_equal(report_write_file(path, &fixture->summary, &err), STATUS_OK);
    assert_int_equal(file_read(path, 1 << 20, &text, &bytes, &err), STATUS_OK);
    /* A record that cannot be written leaves what was there. */
    fixture->run.plan = "{\"damaged\":";
    assert_int_equal(report_write_file(path, &fixture->summary, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.where, "plan"));
    char *again;
    assert_int_equal(file_read(path, 1 << 20, &again, &bytes, &err), STATUS_OK);
    assert_string_equal(text, again);
    assert_int_equal(unlink(path), 0);
    free(text);
    free(again);
    assert_int_equal(report_write_file("/nowhere/run.json", &fixture->summary, &err),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(err.where, "/nowhere/run.json"));
}

/* A full disk, or a pipe that was closed. */
static void test_full_stream(void **state)
{
    struct fixture *fixture = *state;
    fixture_make(fixture, fixture_three, THREE, 6);
    const struct report_form *const forms[] = {&report_table, &report_analysis,    &report_json,
                                               &report_csv,   &report_samples_csv, &report_markdown,
                                               &report_html};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct error err;
        FILE *full = fopen("/dev/full", "we");
        assert_non_null(full);
        setvbuf(full, NULL, _IONBF, 0);
        assert_int_equal(forms[i]->write(&fixture->summary, &columns_80, full, &err), STATUS_IO);
        fclose(full);
    }
}

/* docs/reports.md lists every metric in the words of the metrics' own table. */
static void test_metrics_are_documented(void **state)
{
    (void)state;
    char *page, row[512];
    size_t bytes;
    struct error err;
    assert_int_equal(file_read(TEST_DATA "/../docs/reports.md", 1 << 20, &page, &bytes, &err),
                     STATUS_OK);
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_info *info = &metric_infos[metric];
        snprintf(row, sizeof row, "| %s | `%s` | %s |\n", info->title, info->key, info->meaning);
        if (!strstr(page, row))
            fail_msg("docs/reports.md lacks this row: %s", row);
    }
    free(page);
}

static int setup(void **state)
{
    *state = malloc(sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_variants),
        cmocka_unit_test(test_one_failed),
        cmocka_unit_test(test_one_block),
        cmocka_unit_test(test_three_blocks),
        cmocka_unit_test(test_much_is_undecided),
        cmocka_unit_test(test_one_variant),
        cmocka_unit_test(test_many_variants),
        cmocka_unit_test(test_nothing_measured),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_file_forms),
        cmocka_unit_test(test_share_above_limit),
        cmocka_unit_test(test_partly_failed),
        cmocka_unit_test(test_every_width_fits),
        cmocka_unit_test(test_colour_marks_the_best),
        cmocka_unit_test(test_no_verdict_words_without_verdicts),
        cmocka_unit_test(test_form_by_extension),
        cmocka_unit_test(test_written_whole_or_not_at_all),
        cmocka_unit_test(test_full_stream),
        cmocka_unit_test(test_metrics_are_documented),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
