/* Any bytes as tokenizer.model: refused, or a vocabulary in which its own bytes, encoded and
 * decoded, are the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/ranks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct tokenizer *tokenizer, const char *text, size_t bytes)
{
    struct error err;
    int32_t *ids;
    size_t count, decoded_bytes;
    char *decoded;
    enum status status = tokenizer_encode(tokenizer, text, bytes, 0, &ids, &count, &err);
    if (status == STATUS_UNSUPPORTED) /* a byte that the vocabulary has no token for */
        return;
    if (status != STATUS_OK ||
        tokenizer_decode(tokenizer, ids, count, &decoded, &decoded_bytes, &err) != STATUS_OK)
        abort();
    if (decoded_bytes != bytes || memcmp(decoded, text, bytes) != 0)
        abort();
    free(decoded);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct tokenizer_parts parts;
    struct tokenizer *tokenizer;
    struct error err;
    const char *text = (const char *)data;
    if (ranks_parse(&parts, &arena, text, size, "fuzz", &err) == STATUS_OK) {
        if (tokenizer_create(&tokenizer, &parts, &err) != STATUS_OK)
            abort();
        for (size_t i = 0; i < parts.token_count; i++) {
            size_t bytes;
            const char *token = tokenizer_token(tokenizer, (int32_t)i, &bytes);
            round_trip(tokenizer, token, bytes);
        }
        round_trip(tokenizer, text, size);
        tokenizer_close(tokenizer);
    }
    arena_free(&arena);
    return 0;
}
