/* The protocol's bytes: lines in pieces, cleaned text, the codes of errors. The lies of a reply
 * are told by tests/conformance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/protocol.h"

static void feed(struct protocol_lines *lines, const char *text, size_t count)
{
    struct error err;
    while (count > 0) {
        char *room;
        size_t bytes;
        assert_int_equal(protocol_lines_room(lines, &room, &bytes, &err), STATUS_OK);
        bytes = bytes < count ? bytes : count;
        memcpy(room, text, bytes);
        protocol_lines_add(lines, bytes);
        text += bytes;
        count -= bytes;
    }
}

static void cuts_lines(void **state)
{
    (void)state;
    struct protocol_lines lines = {0};
    size_t length;
    assert_null(protocol_lines_take(&lines, &length));
    feed(&lines, "one\n\ntw", 7);
    const char *line = protocol_lines_take(&lines, &length);
    assert_int_equal(length, 3);
    assert_memory_equal(line, "one", 3);
    assert_non_null(protocol_lines_take(&lines, &length));
    assert_int_equal(length, 0);
    assert_null(protocol_lines_take(&lines, &length));
    assert_int_equal(protocol_lines_left(&lines), 2);
    feed(&lines, "o\n", 2);
    line = protocol_lines_take(&lines, &length);
    assert_int_equal(length, 3);
    assert_memory_equal(line, "two", 3);
    assert_int_equal(protocol_lines_left(&lines), 0);
    protocol_lines_free(&lines);
}

static void bounds_a_line(void **state)
{
    (void)state;
    struct protocol_lines lines = {0};
    struct error err;
    char *room;
    size_t bytes, length, total = 0;
    while (protocol_lines_room(&lines, &room, &bytes, &err) == STATUS_OK) {
        memset(room, 'x', bytes);
        protocol_lines_add(&lines, bytes);
        assert_null(protocol_lines_take(&lines, &length));
        total += bytes;
    }
    assert_int_equal(err.status, STATUS_PROTOCOL);
    assert_int_equal(total, PROTOCOL_MAX_LINE);
    protocol_lines_free(&lines);
}

static void cleans_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"plain", "plain"},
        {"a\tb\x1b[31m\x7f", "a b [31m "},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff\xc0\x80\xed\xa0\x80\xe2\x82", "????????"},
        {"\xc2\x9b", " "},
        {"0123456789abcdefghij", "0123456789abcdefghij"},
        {"0123456789abcdefghijk0123456789abcdefghijk", "0123456789abcdefghijk0123456..."},
    };
    char clean[32];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        protocol_clean(clean, sizeof clean, cases[i].text, strlen(cases[i].text));
        assert_string_equal(clean, cases[i].clean);
    }
    /* A character is left out whole, and there is room for nothing in one byte. */
    protocol_clean(clean, 6, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", 9);
    assert_string_equal(clean, "...");
    protocol_clean(clean, 1, "abc", 3);
    assert_string_equal(clean, "");
}

static enum status parse(const char *line, struct error *err)
{
    json_t *message;
    bool event;
    enum status status = protocol_parse(line, strlen(line), 1, &message, &event, err);
    json_decref(message);
    return status;
}

static void maps_error_codes(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(parse("{\"id\": 1}", &err), STATUS_OK);
    assert_int_equal(parse("{\"id\": 1, \"error\": {\"code\": \"no_memory\", \"message\": \"m\", "
                           "\"hint\": \"h\"}}",
                           &err),
                     STATUS_NO_MEMORY);
    assert_string_equal(err.what, "m");
    assert_string_equal(err.remedy, "h");
    assert_int_equal(parse("{\"id\": 1, \"error\": {\"code\": \"own\", \"message\": \"m\"}}", &err),
                     STATUS_WORKER);
    assert_int_equal(parse("{\"id\": 1, \"error\": {\"code\": \"own\"}}", &err), STATUS_PROTOCOL);
    assert_int_equal(parse("{\"id\": 2}", &err), STATUS_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_lines),
        cmocka_unit_test(bounds_a_line),
        cmocka_unit_test(cleans_text),
        cmocka_unit_test(maps_error_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
