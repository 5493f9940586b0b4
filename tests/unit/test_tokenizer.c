/* src/model: the byte alphabet, pre-tokenisers, BPE and vocabularies, on a small vocabulary
 * and on broken ones. Real vocabularies are in oracle/test_tokenizer.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "../support/small_vocabulary.h"

static struct tokenizer *small_open(const char *pre)
{
    struct small_vocabulary small;
    struct tokenizer *tokenizer;
    struct error err;
    small_vocabulary_init(&small, pre);
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    return tokenizer;
}

/* The tokens of text, each followed by a bar. The caller frees. */
static char *tokens_of(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                       unsigned flags)
{
    struct error err;
    int32_t *ids;
    size_t count, length, used = 0;
    assert_int_equal(tokenizer_encode(tokenizer, text, bytes, flags, &ids, &count, &err),
                     STATUS_OK);
    char *line = malloc(2 * bytes + 64);
    for (size_t i = 0; i < count; i++) {
        const char *token = tokenizer_token(tokenizer, ids[i], &length);
        assert_non_null(token);
        memcpy(line + used, token, length);
        line[used + length] = '|';
        used += length + 1;
    }
    line[used] = '\0';
    free(ids);
    return line;
}

static void assert_tokens(const char *pre, const char *text, unsigned flags, const char *expected)
{
    struct tokenizer *tokenizer = small_open(pre);
    char *line = tokens_of(tokenizer, text, strlen(text), flags);
    assert_string_equal(line, expected);
    free(line);
    tokenizer_close(tokenizer);
}

static void alphabet_is_a_bijection(void **state)
{
    (void)state;
    char all[512], decoded[512];
    size_t used = 0, bytes;
    for (unsigned byte = 0; byte < 256; byte++)
        used += byte_alphabet_encode((unsigned char)byte, all + used);
    assert_true(byte_alphabet_decode(all, used, decoded, &bytes));
    assert_int_equal(bytes, 256);
    for (unsigned byte = 0; byte < 256; byte++)
        assert_int_equal((unsigned char)decoded[byte], byte);
    assert_true(byte_alphabet_decode("\u0120\u0121\u0143\u0100", 8, decoded, &bytes));
    assert_memory_equal(decoded, " \x7F\xAD\0", 4);
    static const char *const outside[] = {" ",      "\n",     "\u00A0", "\u00AD",
                                          "\u0144", "\u4E16", "\xC4"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_false(byte_alphabet_decode(outside[i], strlen(outside[i]), decoded, &bytes));
}

static void lowest_rank_then_leftmost_is_joined_first(void **state)
{
    (void)state;
    assert_tokens("gpt2", "the", 0, "the|");
    assert_tokens("gpt2", "the the", 0, "the| the|");
    assert_tokens("gpt2", "aaaaaaa", 0, "aaaa|aa|a|");
    /* The bytes of é join before the first of them could join the b. */
    assert_tokens("gpt2", "b\u00E9b", 0, "b|\u00E9b|");
    assert_tokens("gpt2", "xthey", 0, "x|the|y|");
}

static void patterns_differ_as_they_should(void **state)
{
    (void)state;
    /* llama-bpe: digits by three; one other character may lead a word; newlines end a run. */
    assert_tokens("llama-bpe", "12312", 0, "123|12|");
    assert_tokens("gpt2", "12312", 0, "123|12|");
    assert_tokens("smollm", "12312", 0, "1|2|3|1|2|");
    /* A space joins what follows it, digits excepted where they stand alone. */
    assert_tokens("gpt2", "a    a", 0, "a|  | | |a|");
    assert_tokens("smollm", "a    1", 0, "a|    |1|");
    assert_tokens("gpt2", "a    1", 0, "a|  | | |1|");
    /* Capitals: only llama-bpe's contractions ignore case. */
    assert_tokens("gpt2", "it's", 0, "i|t|'s|");
    /* A whole pre-token is its token in llama-bpe alone. */
    assert_tokens("llama-bpe", "a whole", 0, "a| whole|");
    assert_tokens("gpt2", "a whole", 0, "a| |w|h|o|l|e|");
    /* U+180E is no space here: the run of newlines ends one before it. */
    assert_tokens("gpt2", "\n\n\u180E", 0, "\n|\n|\xE1|\xA0|\x8E|");
}

static void control_tokens_are_parsed_only_when_asked(void **state)
{
    (void)state;
    assert_tokens("llama-bpe", "a<|end|>b", TOKENIZER_PARSE_SPECIAL, "a|<|end|>|b|");
    assert_tokens("llama-bpe", "a<|end|>b", 0, "a|<|||e|n|d|||>|b|");
    assert_tokens("llama-bpe", "<|end|>s<|end|><|end|", TOKENIZER_PARSE_SPECIAL,
                  "<|end|>s|<|end|>|<|||e|n|d|||");
    assert_tokens("llama-bpe", "<added><|end|>s", 0, "<added>|<|||e|n|d|||>|s|");
    assert_tokens("llama-bpe", "unused", TOKENIZER_PARSE_SPECIAL, "u|n|u|s|e|d|");
    assert_tokens("llama-bpe", "", TOKENIZER_ADD_BOS, "<s>|");
    assert_tokens("llama-bpe", "<s>", TOKENIZER_ADD_BOS, "<s>|<|s|>|");
    assert_tokens("llama-bpe", "", 0, "");
}

/* A control token whose name is one word, in a vocabulary where whole words are looked up. */
static void a_word_never_becomes_a_control_token(void **state)
{
    (void)state;
    struct small_vocabulary small;
    struct tokenizer *tokenizer;
    struct error err;
    small_vocabulary_init(&small, "llama-bpe");
    small.tokens[SMALL_END] = (struct token_text){"end", 3};
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    char *line = tokens_of(tokenizer, "end", 3, 0);
    assert_string_equal(line, "e|n|d|");
    free(line);
    tokenizer_close(tokenizer);
}

static void invalid_utf8_is_encoded_byte_by_byte(void **state)
{
    (void)state;
    assert_tokens("llama-bpe", "\xC3\xC3\xA9", 0, "\xC3|\u00E9|");
    assert_tokens("llama-bpe", "a\xE4\xB8", 0, "a|\xE4|\xB8|");
    assert_tokens("gpt2", "\xED\xA0\x80", 0, "\xED|\xA0|\x80|");
}

static void assert_round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes)
{
    struct error err;
    int32_t *ids;
    size_t count, length;
    char *decoded;
    assert_int_equal(tokenizer_encode(tokenizer, text, bytes, 0, &ids, &count, &err), STATUS_OK);
    assert_int_equal(tokenizer_decode(tokenizer, ids, count, &decoded, &length, &err), STATUS_OK);
    assert_int_equal(length, bytes);
    assert_memory_equal(decoded, text, bytes);
    assert_int_equal(decoded[length], 0);
    free(decoded);
    free(ids);
}

static void hostile_texts_survive(void **state)
{
    (void)state;
    enum { BYTES = 1 << 18 };
    static const char *const pres[] = {"llama-bpe", "gpt2", "smollm"};
    static const char *const patterns[] = {"a",      " ",    "\n", " \n",    "\r\n \t", "1", "'s",
                                           "\u3000", "\xFF", "<|", "\u0301", "x\u200D", "\0"};
    char *text = malloc(BYTES + 1);
    assert_non_null(text);
    for (size_t p = 0; p < sizeof pres / sizeof *pres; p++) {
        struct tokenizer *tokenizer = small_open(pres[p]);
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
            size_t length = strlen(patterns[i]) + (patterns[i][0] == '\0');
            for (size_t at = 0; at < BYTES; at++)
                text[at] = patterns[i][at % length];
            text[BYTES] = 'x';
            assert_round_trip(tokenizer, text, BYTES + 1);
        }
        tokenizer_close(tokenizer);
    }
    free(text);
}

/* The heap used for long pieces and the scan used for short ones join the same pairs. */
static void long_and_short_pieces_agree(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small_open("gpt2");
    uint32_t random = 1;
    for (int round = 0; round < 200; round++) {
        char word[40], both[200];
        size_t bytes = 20 + (size_t)round % 20;
        for (size_t i = 0; i < bytes; i++) {
            random = random * 1664525 + 1013904223;
            word[i] = "aaathe"[(random >> 24) % 6];
        }
        /* 'q' is in no merge, so the long piece is encoded as its parts are. */
        int length = snprintf(both, sizeof both, "%.*sq%.*sq%.*s", (int)bytes, word, (int)bytes,
                              word, (int)bytes, word);
        char *one = tokens_of(tokenizer, word, bytes, 0);
        char *three = tokens_of(tokenizer, both, (size_t)length, 0);
        char expected[512];
        snprintf(expected, sizeof expected, "%sq|%sq|%s", one, one, one);
        assert_string_equal(three, expected);
        free(one);
        free(three);
    }
    tokenizer_close(tokenizer);
}

static void facts_are_those_of_the_parts(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small_open("llama-bpe");
    size_t bytes = 1;
    assert_int_equal(tokenizer_vocabulary(tokenizer), SMALL_TOKENS);
    assert_int_equal(tokenizer_bos(tokenizer), SMALL_BOS);
    assert_int_equal(tokenizer_eos(tokenizer), SMALL_END);
    assert_true(tokenizer_adds_bos(tokenizer));
    assert_null(tokenizer_token(tokenizer, SMALL_TOKENS, &bytes));
    assert_int_equal(bytes, 0);
    assert_null(tokenizer_token(tokenizer, -1, &bytes));
    tokenizer_close(tokenizer);
    tokenizer = small_open("smollm");
    assert_false(tokenizer_adds_bos(tokenizer));
    tokenizer_close(tokenizer);

    struct small_vocabulary small;
    struct error err;
    bool adds_bos = true;
    small_vocabulary_init(&small, "smollm");
    small.parts.adds_bos = &adds_bos;
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    assert_true(tokenizer_adds_bos(tokenizer));
    tokenizer_close(tokenizer);
    small.parts.bos = -1;
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    assert_false(tokenizer_adds_bos(tokenizer));
    tokenizer_close(tokenizer);
}

static void ids_outside_the_vocabulary_are_not_decoded(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = small_open("gpt2");
    const int32_t above[] = {'a', SMALL_TOKENS}, below[] = {-1};
    struct error err;
    char *text;
    size_t bytes;
    assert_int_equal(tokenizer_decode(tokenizer, above, 2, &text, &bytes, &err), STATUS_FORMAT);
    assert_non_null(strstr(err.what, "position 1"));
    assert_null(text);
    assert_int_equal(tokenizer_decode(tokenizer, below, 1, &text, &bytes, &err), STATUS_FORMAT);
    assert_int_equal(tokenizer_decode(tokenizer, NULL, 0, &text, &bytes, &err), STATUS_OK);
    assert_string_equal(text, "");
    free(text);
    tokenizer_close(tokenizer);
}

static void assert_refused(const struct tokenizer_parts *parts, enum status status,
                           const char *what)
{
    struct tokenizer *tokenizer;
    struct error err;
    assert_int_equal(tokenizer_create(&tokenizer, parts, &err), status);
    assert_null(tokenizer);
    assert_non_null(strstr(err.what, what));
    assert_non_null(strstr(err.where, "small"));
}

static void broken_vocabularies_are_refused(void **state)
{
    (void)state;
    struct small_vocabulary small;
    small_vocabulary_init(&small, "mpt");
    assert_refused(&small.parts, STATUS_UNSUPPORTED, "'mpt'");

    small_vocabulary_init(&small, "gpt2");
    small.parts.bos = SMALL_TOKENS;
    assert_refused(&small.parts, STATUS_FORMAT, "bos");
    small.parts.bos = -2;
    assert_refused(&small.parts, STATUS_FORMAT, "bos");
    small.parts.bos = -1;
    small.parts.eos = INT64_MAX;
    assert_refused(&small.parts, STATUS_FORMAT, "eos");

    small_vocabulary_init(&small, "gpt2");
    small.types[7] = 9;
    assert_refused(&small.parts, STATUS_FORMAT, "token 7 has type 9");

    small_vocabulary_init(&small, "gpt2");
    small.parts.token_count = 0;
    small.parts.bos = small.parts.eos = -1;
    assert_refused(&small.parts, STATUS_FORMAT, "0 tokens");

    static char name[2000];
    memset(name, '<', sizeof name);
    small_vocabulary_init(&small, "gpt2");
    small.tokens[SMALL_END] = (struct token_text){name, sizeof name};
    assert_refused(&small.parts, STATUS_FORMAT, "2000 bytes long");

    /* No space, nothing on one side, an unknown part, an unknown whole, not the alphabet, a
     * control token, one much longer than any token. */
    static const char *const merges[] = {"",    "a",        "a ",        " a",    "zz a",
                                         "a z", "a \u4E16", "<|end|> s", "a\tb c"};
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        small_vocabulary_init(&small, "gpt2");
        small.merges[3] = (struct token_text){merges[i], strlen(merges[i])};
        assert_refused(&small.parts, STATUS_FORMAT, "merge 3");
    }
    small_vocabulary_init(&small, "gpt2");
    name[1000] = ' ';
    small.merges[3] = (struct token_text){name, sizeof name};
    assert_refused(&small.parts, STATUS_FORMAT, "merge 3");
}

static void odd_vocabularies_have_defined_ids(void **state)
{
    (void)state;
    struct small_vocabulary small;
    struct tokenizer *tokenizer;
    struct error err;
    int32_t *ids;
    size_t count, bytes;

    /* Of equal tokens the first counts; so do equal merges and equal control tokens. */
    small_vocabulary_init(&small, "gpt2");
    small.tokens[SMALL_WHOLE] = small.tokens['a'];
    small.tokens[SMALL_ENDS] = small.tokens[SMALL_END];
    small.merges[SMALL_MERGES - 1] = small.merges[0];
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    assert_int_equal(
        tokenizer_encode(tokenizer, "a<|end|>", 8, TOKENIZER_PARSE_SPECIAL, &ids, &count, &err),
        STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], 'a');
    assert_int_equal(ids[1], SMALL_END);
    free(ids);
    tokenizer_close(tokenizer);

    /* A token outside the alphabet is decoded as written, and an empty one as nothing. */
    small_vocabulary_init(&small, "llama-bpe");
    small.tokens[SMALL_WHOLE] = (struct token_text){"\u4E16 ", 4};
    small.tokens[SMALL_UNUSED] = (struct token_text){NULL, 0};
    small.tokens[SMALL_ADDED] = (struct token_text){NULL, 0};
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    assert_memory_equal(tokenizer_token(tokenizer, SMALL_WHOLE, &bytes), "\u4E16 ", 4);
    assert_int_equal(bytes, 4);
    assert_non_null(tokenizer_token(tokenizer, SMALL_ADDED, &bytes));
    assert_int_equal(bytes, 0);
    char *line = tokens_of(tokenizer, "\u4E16", 3, 0);
    assert_string_equal(line, "\xE4|\xB8|\x96|");
    free(line);
    tokenizer_close(tokenizer);
}

static void a_byte_without_a_token_is_an_error(void **state)
{
    (void)state;
    struct small_vocabulary small;
    struct tokenizer *tokenizer;
    struct error err;
    int32_t *ids;
    size_t count;
    small_vocabulary_init(&small, "gpt2");
    small.types[4] = TOKEN_UNUSED;
    assert_int_equal(tokenizer_create(&tokenizer, &small.parts, &err), STATUS_OK);
    assert_int_equal(tokenizer_encode(tokenizer, "a\x04", 2, 0, &ids, &count, &err),
                     STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.what, "0x04"));
    assert_null(ids);
    tokenizer_close(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alphabet_is_a_bijection),
        cmocka_unit_test(lowest_rank_then_leftmost_is_joined_first),
        cmocka_unit_test(patterns_differ_as_they_should),
        cmocka_unit_test(control_tokens_are_parsed_only_when_asked),
        cmocka_unit_test(a_word_never_becomes_a_control_token),
        cmocka_unit_test(invalid_utf8_is_encoded_byte_by_byte),
        cmocka_unit_test(hostile_texts_survive),
        cmocka_unit_test(long_and_short_pieces_agree),
        cmocka_unit_test(facts_are_those_of_the_parts),
        cmocka_unit_test(ids_outside_the_vocabulary_are_not_decoded),
        cmocka_unit_test(broken_vocabularies_are_refused),
        cmocka_unit_test(odd_vocabularies_have_defined_ids),
        cmocka_unit_test(a_byte_without_a_token_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
