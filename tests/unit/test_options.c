/* options_parse, and that every command's table is well-formed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/suggest.h"
#include "cli/command.h"
#include "cli/help.h"

struct sample {
    bool wide, fair;
    const char *path, *size;
    int64_t iterations, seed;
    double temperature;
    struct option_list frameworks, contexts, quantize;
};

#define FIELD(name) .offset = offsetof(struct sample, name)

static const struct option sample_options[] = {
    {"path", 'p', OPTION_STRING, "PATH", "where it is", FIELD(path), .required = true},
    {"size", 0, OPTION_CHOICE, "SIZE", "how large", FIELD(size), .choices = "1b 8b tiny"},
    {"wide", 'w', OPTION_FLAG, .help = "all rows", FIELD(wide)},
    {"fair", 'f', OPTION_FLAG, .help = "compare", FIELD(fair), .negatable = true},
    {"iterations", 'n', OPTION_INT, "N", "how many", FIELD(iterations), .low = 1, .high = 1e6,
     .unit = "tokens"},
    {"seed", 0, OPTION_INT, "N", "start of chance", FIELD(seed)},
    {"temperature", 0, OPTION_NUMBER, "F", "how random", FIELD(temperature), .low = -1,
     .high = INFINITY},
    {"framework", 0, OPTION_LIST, "NAME", "which", FIELD(frameworks)},
    {"context", 0, OPTION_LIST, "N", "how long", FIELD(contexts), .low = 1, .high = 100},
    {"quantize", 0, OPTION_LIST, NULL, "how small", FIELD(quantize), .choices = "int8 nf4"},
    {0},
};

static const char *default_frameworks[] = {"native"};
static const struct sample sample_defaults = {
    .fair = true, .iterations = 20, .frameworks = {default_frameworks, 1}};

static const struct command sample_command = {
    .name = "sample",
    .positional = "[FILE]",
    .max_args = 1,
    .options = sample_options,
    .options_bytes = sizeof(struct sample),
    .defaults = &sample_defaults,
};

struct parsed {
    struct sample options;
    struct option_list args;
    struct error err;
    enum status status;
    char *argv[16];
};

/* Parses words that are separated by '|'. line is cut in place. */
static void parse(struct parsed *p, char *line)
{
    int argc = 0;
    for (char *word = strtok(line, "|"); word; word = strtok(NULL, "|"))
        p->argv[argc++] = word;
    p->options = sample_defaults;
    p->err = (struct error){0};
    p->status = options_parse(&sample_command, argc, p->argv, &p->options, &p->args, &p->err);
}

static void release(struct parsed *p)
{
    options_free(&sample_command, &p->options, &p->args);
}

#define PARSE(p, text)                                                                             \
    char line_[] = text;                                                                           \
    struct parsed p; /* NOLINT(bugprone-macro-parentheses) */                                      \
    parse(&(p), line_)

static void test_defaults_stay(void **state)
{
    (void)state;
    PARSE(p, "--path|m");
    assert_int_equal(p.status, STATUS_OK);
    assert_string_equal(p.options.path, "m");
    assert_true(p.options.fair);
    assert_int_equal(p.options.iterations, 20);
    assert_int_equal(p.options.frameworks.count, 1);
    assert_null(p.options.size);
    assert_int_equal(p.args.count, 0);
    release(&p);
}

static void test_forms(void **state)
{
    (void)state;
    PARSE(p, "--path=a=b|-wn5|--size|8b|--no-fair|--temperature|-0.5|--seed=-7");
    assert_int_equal(p.status, STATUS_OK);
    assert_string_equal(p.options.path, "a=b");
    assert_true(p.options.wide);
    assert_false(p.options.fair);
    assert_int_equal(p.options.iterations, 5);
    assert_int_equal(p.options.seed, -7);
    assert_string_equal(p.options.size, "8b");
    assert_true(p.options.temperature == -0.5);
    release(&p);
}

static void test_letter_with_its_value_apart(void **state)
{
    (void)state;
    PARSE(p, "-p|-|-n|7");
    assert_int_equal(p.status, STATUS_OK);
    assert_string_equal(p.options.path, "-");
    assert_int_equal(p.options.iterations, 7);
    release(&p);
}

static void test_list_ends_at_an_option(void **state)
{
    (void)state;
    PARSE(p, "--framework|a|b|--path|m|file|--framework|c|--quantize=int8|--context|1|100");
    assert_int_equal(p.status, STATUS_OK);
    assert_int_equal(p.options.frameworks.count, 3);
    assert_string_equal(p.options.frameworks.items[0], "a");
    assert_string_equal(p.options.frameworks.items[2], "c");
    assert_int_equal(p.options.contexts.count, 2);
    assert_int_equal(p.options.quantize.count, 1);
    assert_int_equal(p.args.count, 1);
    assert_string_equal(p.args.items[0], "file");
    release(&p);
}

static void test_two_dashes_end_options(void **state)
{
    (void)state;
    PARSE(p, "--path|m|--framework|a|--|--wide");
    assert_int_equal(p.status, STATUS_OK);
    assert_int_equal(p.options.frameworks.count, 1);
    assert_false(p.options.wide);
    assert_string_equal(p.args.items[0], "--wide");
    release(&p);
}

static void test_the_last_one_counts(void **state)
{
    (void)state;
    PARSE(p, "--path|a|--path|b|--no-fair|--fair|-n|1|-n|2");
    assert_int_equal(p.status, STATUS_OK);
    assert_string_equal(p.options.path, "b");
    assert_true(p.options.fair);
    assert_int_equal(p.options.iterations, 2);
    release(&p);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *line, *what, *remedy;
    } cases[] = {
        {"--pth|m", "there is no option --pth", "Did you mean --path?"},
        {"--path|m|--iter|3", "there is no option --iter", "Did you mean --iterations?"},
        {"--path|m|--zzz", "there is no option --zzz", "See 'prony sample --help'."},
        {"--path|m|--no-wide", "there is no option --no-wide", "See"},
        {"--path|m|-wx", "there is no option -x", "See"},
        {"--path", "--path needs a value: PATH", "See"},
        {"--path|--wide", "--path needs a value: PATH", "See"},
        {"--path|m|--framework", "--framework needs a value: NAME", "See"},
        {"--path|m|--framework|-w", "--framework needs a value: NAME", "See"},
        {"--path|m|--quantize", "--quantize needs a value: int8 nf4", "See"},
        {"--path|m|--wide=yes", "--wide takes no value", "See"},
        {"--path|m|--no-fair=1", "--no-fair takes no value", "See"},
        {"--path|m|--size|1c", "--size takes one of 1b, 8b, tiny; '1c' is none of them", "'1b'"},
        {"--path|m|--size=", "--size takes one of 1b, 8b, tiny; '' is none of them", "See"},
        {"--path|m|--quantize|int8|nf5", "--quantize takes one of int8, nf4; 'nf5'", "'nf4'"},
        {"--path|m|-n|0", "--iterations takes a whole number of tokens from 1 to 1000000, not '0'",
         "See"},
        {"--path|m|-n|1000001", "from 1 to 1000000, not '1000001'", "See"},
        {"--path|m|-n|3x", "not '3x'", "See"},
        {"--path|m|-n|3.5", "not '3.5'", "See"},
        {"--path|m|-n=", "not '='", "See"},
        {"--path|m|-n| 3", "not ' 3'", "See"},
        {"--path|m|--seed|9223372036854775808", "--seed takes a whole number, not '92", "See"},
        {"--path|m|--temperature|nan", "--temperature takes a number, at least -1, not 'nan'",
         "See"},
        {"--path|m|--temperature|inf", "not 'inf'", "See"},
        {"--path|m|--temperature|-2", "at least -1, not '-2'", "See"},
        {"--path|m|--context|5|101", "--context takes a whole number from 1 to 100, not '101'",
         "See"},
        {"--wide", "--path PATH is missing", "See"},
        {"--path|m|one|two", "'two' is one argument too many", "See"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        struct parsed p;
        snprintf(line, sizeof line, "%s", cases[i].line);
        parse(&p, line);
        if (p.status != STATUS_USAGE || !strstr(p.err.what, cases[i].what) ||
            !strstr(p.err.remedy, cases[i].remedy))
            fail_msg("%s: status %d, \"%s\", \"%s\"", cases[i].line, p.status, p.err.what,
                     p.err.remedy);
        release(&p);
    }
}

static void test_missing_argument(void **state)
{
    (void)state;
    struct command two = {.name = "two", .positional = "IN OUT", .min_args = 2, .max_args = 2};
    struct option_list args;
    struct error err;
    char one[] = "one", *argv[] = {one};
    assert_int_equal(options_parse(&two, 1, argv, NULL, &args, &err), STATUS_USAGE);
    assert_string_equal(err.what, "'prony two' needs IN OUT");
    options_free(&two, NULL, &args);
}

static void test_endless_words(void **state)
{
    (void)state;
    static char name[1 << 16] = "--", value[1 << 16];
    memset(name + 2, 'x', sizeof name - 3);
    memset(value, '9', sizeof value - 1);
    char path[] = "--path=m", count[] = "-n";
    struct parsed p = {.options = sample_defaults};
    char *unknown[] = {name}, *number[] = {path, count, value};
    assert_int_equal(options_parse(&sample_command, 1, unknown, &p.options, &p.args, &p.err),
                     STATUS_USAGE);
    release(&p);
    p.options = sample_defaults;
    assert_int_equal(options_parse(&sample_command, 3, number, &p.options, &p.args, &p.err),
                     STATUS_USAGE);
    release(&p);
}

static void test_suggestions(void **state)
{
    (void)state;
    struct suggestion swap = {.word = "bnech"};
    suggestion_offer(&swap, "report");
    suggestion_offer(&swap, "bench");
    assert_string_equal(swap.best, "bench");
    struct suggestion far = {.word = "xyz"};
    suggestion_offer(&far, "bench");
    assert_null(far.best);
    struct suggestion empty = {.word = ""};
    suggestion_offer(&empty, "a");
    assert_null(empty.best);
}

static size_t option_size(const struct option *o)
{
    static const size_t sizes[] = {
        [OPTION_FLAG] = sizeof(bool),     [OPTION_STRING] = sizeof(char *),
        [OPTION_CHOICE] = sizeof(char *), [OPTION_INT] = sizeof(int64_t),
        [OPTION_NUMBER] = sizeof(double), [OPTION_LIST] = sizeof(struct option_list),
    };
    return sizes[o->kind];
}

static void check_option(const struct command *command, const struct option *o)
{
    bool well = o->help && o->help[0] && o->help[strlen(o->help) - 1] != ' ' &&
                strcmp(o->name, "help") != 0 && strncmp(o->name, "no-", 3) != 0 &&
                o->letter != 'h' && o->offset + option_size(o) <= command->options_bytes &&
                (o->kind == OPTION_FLAG || o->metavar || o->choices) &&
                (o->kind != OPTION_CHOICE || o->choices) &&
                (!o->negatable || o->kind == OPTION_FLAG) && o->low <= o->high;
    for (const struct option *p = command->options; p < o; p++)
        well = well && strcmp(p->name, o->name) != 0 && (!o->letter || p->letter != o->letter) &&
               p->offset != o->offset;
    if (!well)
        fail_msg("prony %s: the table's entry of --%s is not well-formed", command->name, o->name);
}

static void test_tables_are_well_formed(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        const struct command *command = commands[i];
        size_t options = 0;
        assert_non_null(command->summary);
        assert_non_null(command->run);
        assert_true(command->min_args <= command->max_args);
        assert_int_equal(command->max_args > 0, command->positional != NULL);
        for (const struct option *o = command->options; o && o->name; o++, options++)
            check_option(command, o);
        assert_true(options <= 64); /* the parser keeps a bit for each */
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(commands[j]->name, command->name);
    }
}

static void test_help_of_an_option(void **state)
{
    (void)state;
    static const struct {
        size_t option;
        const char *form, *note;
    } cases[] = {
        {0, "-p, --path PATH", "(required)"},
        {1, "--size SIZE", "(one of 1b, 8b, tiny)"},
        {2, "-w, --wide", ""},
        {3, "-f, --[no-]fair", "(default: on)"},
        {4, "-n, --iterations N", "(default: 20)"},
        {7, "--framework NAME...", "(default: native)"},
        {8, "--context N...", ""},
        {9, "--quantize {int8,nf4}...", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char form[160], note[512];
        help_option_form(&sample_options[cases[i].option], form, sizeof form);
        help_option_note(&sample_command, &sample_options[cases[i].option], note, sizeof note);
        assert_string_equal(form, cases[i].form);
        assert_string_equal(note, cases[i].note);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_stay),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_letter_with_its_value_apart),
        cmocka_unit_test(test_list_ends_at_an_option),
        cmocka_unit_test(test_two_dashes_end_options),
        cmocka_unit_test(test_the_last_one_counts),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_missing_argument),
        cmocka_unit_test(test_endless_words),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_tables_are_well_formed),
        cmocka_unit_test(test_help_of_an_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
