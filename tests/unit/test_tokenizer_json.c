/* JSON that is read in place, against jansson, and tokenizer.json's broken forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "model/tokenizer/tokenizer_json.h"

static const char *const strings[] = {
    "\"\"",
    "\"plain\"",
    " \n\t\"after space\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0041\\u00e9\\u0120\\u20ac\\uFFFD\"",
    "\"\\ud83d\\ude00 and \xf0\x9f\x98\x80\"",
    "\"\\u0000\"",
    "\"\\ud83d\"",
    "\"\\ud83dx\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ude00\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\x\"",
    "\"\\",
    "\"open",
    "\"line\nbreak\"",
    "\"\xff\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "7",
    "",
};

static void strings_are_what_jansson_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        char *copy = strdup(strings[i]);
        struct json_scan scan = {.at = copy};
        json_t *expected = json_loads(strings[i], JSON_DECODE_ANY, NULL);
        const char *text = json_scan_string(&scan);
        if (json_is_string(expected)) {
            assert_non_null(text);
            assert_string_equal(text, json_string_value(expected));
            assert_true(json_scan_end(&scan, copy + strlen(strings[i])));
        } else {
            assert_null(text);
            assert_non_null(scan.fault);
        }
        json_decref(expected);
        free(copy);
    }
}

static void integers_are_what_jansson_reads(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "17",
        "-9223372036854775808",
        "9223372036854775807",
        "9223372036854775808",
        "01",
        "1.",
        "1.5",
        "1e3",
        "+1",
        "-",
        "x",
        "",
        "1x",
        "-01",
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *copy = strdup(numbers[i]);
        struct json_scan scan = {.at = copy};
        json_t *expected = json_loads(numbers[i], JSON_DECODE_ANY, NULL);
        int64_t value;
        assert_int_equal(json_scan_integer(&scan, &value), json_is_integer(expected));
        if (json_is_integer(expected))
            assert_true(value == json_integer_value(expected));
        json_decref(expected);
        free(copy);
    }
}

static enum status parse(struct tokenizer_json *json, const char *text, struct error *err)
{
    return tokenizer_json_parse(json, strdup(text), strlen(text), "file", err);
}

static void both_forms_of_merges_are_read(void **state)
{
    (void)state;
    struct tokenizer_json json;
    struct error err;
    assert_int_equal(parse(&json,
                           "{\"version\": \"1.0\", \"model\": {\"vocab\": {\"a\": 0, \"\\u0120b\":"
                           " 1}, \"type\": \"BPE\", \"merges\": [\"a b\", [\"c\", \"d\"],"
                           " [ \"\\u00e9\" ,\n \"\" ], [\"\",\"\"]]}, \"added_tokens\": [{}]}",
                           &err),
                     0);
    assert_int_equal(json.vocabulary_count, 2);
    assert_string_equal(json.vocabulary[1].text, "\xc4\xa0"
                                                 "b");
    assert_int_equal(json.vocabulary[1].id, 1);
    static const char *const merges[] = {"a b", "c d", "\xc3\xa9 ", " "};
    assert_int_equal(json.merge_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(json.merges[i], merges[i]);
    const json_t *model = json_object_get(json.rest, "model");
    assert_string_equal(json_string_value(json_object_get(model, "type")), "BPE");
    assert_int_equal(json_array_size(json_object_get(json.rest, "added_tokens")), 1);
    char *text = json.text;
    tokenizer_json_close(&json);
    free(text);
}

static void faults_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what, *where;
    } cases[] = {
        {"", "an object is expected", "byte 0"},
        {"[]", "an object is expected", "byte 0"},
        {"{} {}", "something follows", "byte 3"},
        {"{\n \"a\": 1,\n \"a\": 2}", "stands twice", "byte "},
        {"{\"model\": {\"vocab\": {}, \"vocab\": {}}}", "stands twice", "byte "},
        {"{\"model\": {\"vocab\": {\"a\": \"b\"}}}", "a number", "file, byte 26"},
        {"{\"model\": {\"vocab\": {\"a\" 1}}}", "a colon", "byte "},
        {"{\"model\": {\"vocab\": {\"a\": 1.5}}}", "a whole number", "byte "},
        {"{\"model\": {\n\"merges\": [\"a b\" \"c d\"]}}", "a comma", "byte "},
        {"{\"model\": {\"merges\": [[\"a\"]]}}", "neither a text nor a pair", "byte "},
        {"{\"model\": {\"merges\": [[\"a\", \"b\", \"c\"]]}}", "neither a text", "byte "},
        {"{\"model\": {\"merges\": [17]}}", "a string", "byte "},
        {"{\"a\": [1, 2}", "not a valid tokenizer", "byte "},
        {"{\"a\": {\"b\": 1, \"b\": 2}}", "uplicate", "byte "},
        {"{\"a\": tru}", "not a valid tokenizer", "byte "},
        {"{\"a\": ", "a value is expected", "byte "},
        {"{\"a\"", "a colon", "byte "},
        {"{\"a\": \"b", "does not end", "byte "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer_json json;
        struct error err;
        assert_int_equal(parse(&json, cases[i].text, &err), STATUS_FORMAT);
        assert_non_null(strstr(err.what, cases[i].what));
        assert_non_null(strstr(err.where, cases[i].where));
        char *text = json.text;
        tokenizer_json_close(&json);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_what_jansson_reads),
        cmocka_unit_test(integers_are_what_jansson_reads),
        cmocka_unit_test(both_forms_of_merges_are_read),
        cmocka_unit_test(faults_are_named_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
