/* tokenize MODEL: the ids of many texts in one process, for comparisons with other tokenisers.
 * Standard input: for each text its flags (enum tokenizer_flags), its length in bytes, both
 * uint32_t, and its bytes. Standard output: for each the number of ids, UINT32_MAX for a text that
 * cannot be encoded, and the ids, all uint32_t. Every text is decoded again and compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/tokenizer.h"

static int fail(const char *what)
{
    fprintf(stderr, "tokenize: %s\n", what);
    return 1;
}

static int tokenize(const struct tokenizer *tokenizer, const char *text, uint32_t bytes,
                    uint32_t flags)
{
    struct error err;
    int32_t *ids;
    size_t count, decoded_bytes;
    char *decoded;
    if (tokenizer_encode(tokenizer, text, bytes, flags, &ids, &count, &err) != STATUS_OK) {
        uint32_t none = UINT32_MAX;
        return fwrite(&none, sizeof none, 1, stdout) == 1 ? 0 : fail("cannot write");
    }
    uint32_t written = (uint32_t)count;
    bool done = fwrite(&written, sizeof written, 1, stdout) == 1 &&
                fwrite(ids, sizeof *ids, count, stdout) == count;
    if (tokenizer_decode(tokenizer, ids, count, &decoded, &decoded_bytes, &err) != STATUS_OK)
        return fail(err.what);
    bool same = decoded_bytes == bytes && memcmp(decoded, text, bytes) == 0;
    free(decoded);
    free(ids);
    return !same ? fail("the ids are not decoded to the text") : done ? 0 : fail("cannot write");
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer;
    struct error err;
    uint32_t head[2];
    int status = 0;
    if (argc != 2)
        return fail("usage: tokenize MODEL < TEXTS");
    if (tokenizer_open(&tokenizer, argv[1], &err) != STATUS_OK) {
        error_print(&err, stderr);
        return 1;
    }
    while (status == 0 && fread(head, sizeof head, 1, stdin) == 1) {
        char *text = malloc((size_t)head[1] + 1);
        if (!text || fread(text, 1, head[1], stdin) != head[1])
            status = fail("a text is cut short");
        else
            status = tokenize(tokenizer, text, head[1], head[0]);
        free(text);
    }
    tokenizer_close(tokenizer);
    return status;
}
