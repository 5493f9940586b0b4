/* A vocabulary of 256 bytes, a few merges and special tokens, for tests of the tokeniser. */
#ifndef PRONY_TESTS_SMALL_VOCABULARY_H
#define PRONY_TESTS_SMALL_VOCABULARY_H

#include <stdio.h>
#include <string.h>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/tokenizer_parts.h"

/* Ids: a byte is itself; merges follow in order; then "Ġwhole", which no merge makes; then the
 * special tokens. */
enum {
    SMALL_BYTES = 256,
    SMALL_MERGES = 14,
    SMALL_WHOLE = SMALL_BYTES + SMALL_MERGES,
    SMALL_BOS,
    SMALL_END,   /* control, "<|end|>" */
    SMALL_ENDS,  /* control, "<|end|>s" */
    SMALL_ADDED, /* user-defined, "<added>" */
    SMALL_UNUSED,
    SMALL_TOKENS
};

struct small_vocabulary {
    char letters[SMALL_BYTES][2];
    char joined[SMALL_MERGES][16];
    struct token_text tokens[SMALL_TOKENS];
    int32_t types[SMALL_TOKENS];
    struct token_text merges[SMALL_MERGES];
    struct tokenizer_parts parts;
};

static inline void small_vocabulary_init(struct small_vocabulary *small, const char *pre)
{
    static const char *const merges[SMALL_MERGES] = {"t h", "th e",  "Ġ the", "a a", "aa aa",
                                                     "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ",   "1 2", "12 3",
                                                     "' s", "Ã ©",   "Ã© b",  "b Ã"};
    static const char *const specials[] = {"Ġwhole",   "<s>",     "<|end|>",
                                           "<|end|>s", "<added>", "unused"};
    static const int32_t special_types[] = {TOKEN_NORMAL,  TOKEN_CONTROL,      TOKEN_CONTROL,
                                            TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED};
    *small = (struct small_vocabulary){0};
    for (unsigned byte = 0; byte < SMALL_BYTES; byte++) {
        size_t bytes = byte_alphabet_encode((unsigned char)byte, small->letters[byte]);
        small->tokens[byte] = (struct token_text){small->letters[byte], bytes};
    }
    for (size_t i = 0; i < SMALL_MERGES; i++) {
        const char *space = strchr(merges[i], ' ');
        int left = (int)(space - merges[i]);
        snprintf(small->joined[i], sizeof small->joined[i], "%.*s%s", left, merges[i], space + 1);
        small->merges[i] = (struct token_text){merges[i], strlen(merges[i])};
        small->tokens[SMALL_BYTES + i] =
            (struct token_text){small->joined[i], strlen(small->joined[i])};
    }
    for (size_t i = 0; i < SMALL_TOKENS; i++)
        small->types[i] = TOKEN_NORMAL;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        small->tokens[SMALL_WHOLE + i] = (struct token_text){specials[i], strlen(specials[i])};
        small->types[SMALL_WHOLE + i] = special_types[i];
    }
    small->parts = (struct tokenizer_parts){.origin = "small",
                                            .pre = pre,
                                            .tokens = small->tokens,
                                            .types = small->types,
                                            .token_count = SMALL_TOKENS,
                                            .merges = small->merges,
                                            .merge_count = SMALL_MERGES,
                                            .bos = SMALL_BOS,
                                            .eos = SMALL_END};
}

#endif
