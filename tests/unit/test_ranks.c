/* tokenizer.model: lines parsed and refused, and pairs joined in the order of ranks. Llama 3's own
 * file is in oracle/test_tokenizer.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "model/tokenizer/ranks.h"

static enum status parse(struct tokenizer_parts *parts, struct arena *arena, const char *text,
                         struct error *err)
{
    return ranks_parse(parts, arena, text, strlen(text), "here", err);
}

static void ids_are_ranks_and_special_tokens_follow(void **state)
{
    (void)state;
    /* a, b, c, bc, ab: "bc" is joined first, whichever line it stands in. */
    static const char *const orders[] = {
        "YQ== 0\nYg== 1\nYw== 2\nYmM= 3\nYWI= 4\n",
        "YWI= 4\nYmM= 3\nYw== 2\nYg== 1\nYQ== 0",
    };
    for (size_t i = 0; i < 2; i++) {
        struct arena arena = {0};
        struct tokenizer_parts parts;
        struct tokenizer *tokenizer;
        struct error err;
        int32_t *ids;
        size_t count;
        assert_int_equal(parse(&parts, &arena, orders[i], &err), STATUS_OK);
        assert_int_equal(tokenizer_create(&tokenizer, &parts, &err), STATUS_OK);
        arena_free(&arena);
        assert_int_equal(tokenizer_vocabulary(tokenizer), 5 + 256);
        assert_int_equal(tokenizer_bos(tokenizer), 5);
        assert_int_equal(tokenizer_eos(tokenizer), 6);
        assert_true(tokenizer_adds_bos(tokenizer));
        const int32_t expected[] = {5, 0, 3, 5 + 9, 5 + 255};
        const char *text = "<|begin_of_text|>abc"
                           "<|eot_id|><|reserved_special_token_245|>";
        assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), TOKENIZER_PARSE_SPECIAL,
                                          &ids, &count, &err),
                         STATUS_OK);
        assert_int_equal(count, 5);
        assert_memory_equal(ids, expected, sizeof expected);
        free(ids);
        tokenizer_close(tokenizer);
    }
}

/* Of two ways to make one token the leftmost pair is joined, as tiktoken does: "aaaaa" over "aa"
 * and "aaa" is aa, aaa. */
static void equal_ranks_are_joined_from_the_left(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct tokenizer_parts parts;
    struct tokenizer *tokenizer;
    struct error err;
    int32_t *ids;
    size_t count;
    assert_int_equal(parse(&parts, &arena, "YQ== 0\nYWE= 1\nYWFh 2\n", &err), STATUS_OK);
    assert_int_equal(tokenizer_create(&tokenizer, &parts, &err), STATUS_OK);
    arena_free(&arena);
    assert_int_equal(tokenizer_encode(tokenizer, "aaaaa", 5, 0, &ids, &count, &err), STATUS_OK);
    const int32_t expected[] = {1, 2}; /* aa aa a: the pair of aa and a is the only one left */
    assert_int_equal(count, 2);
    assert_memory_equal(ids, expected, sizeof expected);
    free(ids);
    tokenizer_close(tokenizer);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status status;
    } cases[] = {
        {"", STATUS_FORMAT},
        {"YQ==\n", STATUS_FORMAT},
        {"YQ== \n", STATUS_FORMAT},
        {"YQ== x\n", STATUS_FORMAT},
        {"YQ== -1\n", STATUS_FORMAT},
        {"YQ== 1\n", STATUS_FORMAT},
        {"YQ== 99999999999999999999\n", STATUS_FORMAT},
        {"YQ== 0\r\n", STATUS_FORMAT},
        {"YQ== 0\nYg== 0\n", STATUS_FORMAT},
        {"YQ= 0\n", STATUS_FORMAT},
        {"==== 0\n", STATUS_FORMAT},
        {"Y=== 0\n", STATUS_FORMAT},
        {" 0\n", STATUS_FORMAT},
        {"YQ== 0\n\n", STATUS_FORMAT},
        {"\n\x0e\n\x05<unk>", STATUS_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct tokenizer_parts parts;
        struct error err;
        assert_int_equal(parse(&parts, &arena, cases[i].text, &err), cases[i].status);
        assert_string_equal(err.where, "here");
        arena_free(&arena);
    }
}

static void only_llama_3s_file_is_opened(void **state)
{
    (void)state;
    static const char path[] = BUILD_FOLDER "/ranks/tokenizer.model";
    struct tokenizer *tokenizer;
    struct error err;
    assert_int_equal(folder_make(BUILD_FOLDER "/ranks", &err), STATUS_OK);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("YQ== 0\n", file);
    fclose(file);
    assert_int_equal(tokenizer_open(&tokenizer, path, &err), STATUS_UNSUPPORTED);
    assert_null(tokenizer);
    assert_string_equal(err.where, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_ranks_and_special_tokens_follow),
        cmocka_unit_test(equal_ranks_are_joined_from_the_left),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(only_llama_3s_file_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
