/* UTF-8, whole and in pieces: what is valid of it, and streams that are ended anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/utf8.h"
#include "model/chat/stream_text.h"

static void utf8_prefix_ends_at_the_first_bad_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t valid;
    } cases[] = {
        {"", 0},
        {"plain ascii, longer than eight", 30},
        {"\u00E9\u4E16\U0001F600", 9},
        {"\xF4\x8F\xBF\xBF", 4},     /* U+10FFFF */
        {"\xF4\x90\x80\x80", 0},     /* above it */
        {"\xED\x9F\xBF", 3},         /* U+D7FF */
        {"ab\xED\xA0\x80", 2},       /* a surrogate */
        {"\xC0\xAF", 0},             /* overlong */
        {"\xE0\x9F\xBF", 0},         /* overlong */
        {"\xF0\x8F\xBF\xBF", 0},     /* overlong */
        {"12345678\xE4\xB8", 8},     /* cut */
        {"\x80", 0},                 /* continuation without a start */
        {"\xC3(", 0},                /* start without continuation */
        {"\xF5\x80\x80\x80", 0},     /* no such lead */
        {"\xE4\xB8\x96\xE4\xB8", 3}, /* whole, then cut */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_valid_prefix(cases[i].text, strlen(cases[i].text)), cases[i].valid);
}

/* text pushed in pieces of `step` bytes and ended. */
static void assert_stream(const char *text, size_t bytes, size_t step, const char *expected)
{
    struct stream_text stream = {0};
    char all[256], piece[256];
    size_t used = 0;
    for (size_t at = 0; at < bytes; at += step) {
        size_t length = bytes - at < step ? bytes - at : step;
        size_t made = stream_text_push(&stream, text + at, length, piece);
        assert_in_range(made, 0, STREAM_TEXT_ROOM(length));
        assert_int_equal(utf8_valid_prefix(piece, made), made);
        memcpy(all + used, piece, made);
        used += made;
    }
    used += stream_text_end(&stream, all + used);
    all[used] = '\0';
    assert_string_equal(all, expected);
    assert_int_equal(stream_text_end(&stream, piece), 0);
}

static void streams_are_whole_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"plain", "plain"},
        {"é世😀\xF4\x8F\xBF\xBF", "é世😀\xF4\x8F\xBF\xBF"},
        {"a\xF0\x9F\x98", "a\uFFFD"},
        {"\xF0\x9F\x98x", "\uFFFDx"},
        {"\xF0\x9F\xC3\xA9", "\uFFFDé"},
        {"\x80\xC0\xAF\xFF", "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xE0\x80\xED\xA0\xF4\x90\xF5", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xE4\xB8\xE4\xB8\x96", "\uFFFD世"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 8; step++)
            assert_stream(cases[i].text, strlen(cases[i].text), step, cases[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_prefix_ends_at_the_first_bad_byte),
        cmocka_unit_test(streams_are_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
