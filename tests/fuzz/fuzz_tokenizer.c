/* Any bytes, encoded and decoded, are the same bytes, whatever the vocabulary.
 *
 * The first byte picks the pre-tokeniser, the flags and the mode. In one mode the rest is text for
 * the small vocabulary. In the other its lines make a vocabulary beside the 256 bytes: "1..." to
 * "6..." are tokens of that type, "m..." merges, others text. */
#include <stdlib.h>

#include "../support/small_vocabulary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINES = 256 };

static void round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes,
                       unsigned flags)
{
    struct error err;
    int32_t *ids;
    size_t count, decoded_bytes;
    char *decoded;
    if (tokenizer_encode(tokenizer, text, bytes, flags, &ids, &count, &err) != STATUS_OK)
        abort();
    if (tokenizer_decode(tokenizer, ids, count, &decoded, &decoded_bytes, &err) != STATUS_OK)
        abort();
    if (decoded_bytes != bytes || memcmp(decoded, text, bytes) != 0)
        abort();
    free(decoded);
    free(ids);
}

static void small_fuzz(const char *pre, const char *text, size_t bytes, unsigned flags)
{
    struct small_vocabulary small;
    struct tokenizer *tokenizer;
    struct error err;
    small_vocabulary_init(&small, pre);
    if (tokenizer_create(&tokenizer, &small.parts, &err) != STATUS_OK)
        abort();
    round_trip(tokenizer, text, bytes, flags);
    tokenizer_close(tokenizer);
}

static void vocabulary_fuzz(const char *pre, const char *lines, size_t bytes, unsigned flags)
{
    struct small_vocabulary small;
    struct token_text tokens[SMALL_BYTES + MAX_LINES], merges[MAX_LINES], texts[MAX_LINES];
    int32_t types[SMALL_BYTES + MAX_LINES];
    size_t token_count = SMALL_BYTES, merge_count = 0, text_count = 0;
    const char *end = lines + bytes;
    small_vocabulary_init(&small, pre);
    for (size_t i = 0; i < SMALL_BYTES; i++) {
        tokens[i] = small.tokens[i];
        types[i] = TOKEN_NORMAL;
    }
    for (int line = 0; line < MAX_LINES && lines < end; line++) {
        const char *newline = memchr(lines, '\n', (size_t)(end - lines));
        const char *stop = newline ? newline : end;
        size_t length = (size_t)(stop - lines);
        if (length > 0 && lines[0] >= '1' && lines[0] <= '6') {
            types[token_count] = lines[0] - '0';
            tokens[token_count++] = (struct token_text){lines + 1, length - 1};
        } else if (length > 0 && lines[0] == 'm') {
            merges[merge_count++] = (struct token_text){lines + 1, length - 1};
        } else {
            texts[text_count++] = (struct token_text){lines, length};
        }
        lines = newline ? newline + 1 : end;
    }
    const struct tokenizer_parts parts = {.origin = "fuzz",
                                          .pre = pre,
                                          .tokens = tokens,
                                          .types = types,
                                          .token_count = token_count,
                                          .merges = merges,
                                          .merge_count = merge_count,
                                          .bos = -1,
                                          .eos = -1};
    struct tokenizer *tokenizer;
    struct error err;
    if (tokenizer_create(&tokenizer, &parts, &err) != STATUS_OK)
        return;
    for (size_t i = 0; i < text_count; i++)
        round_trip(tokenizer, texts[i].data, texts[i].bytes, flags);
    tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pres[] = {"llama-bpe", "gpt2", "smollm"};
    if (size == 0)
        return 0;
    const char *pre = pres[(data[0] & 3) % 3], *text = (const char *)data + 1;
    unsigned flags = data[0] & 4 ? TOKENIZER_PARSE_SPECIAL : 0;
    if (data[0] & 8)
        vocabulary_fuzz(pre, text, size - 1, flags);
    else
        small_fuzz(pre, text, size - 1, flags);
    return 0;
}
