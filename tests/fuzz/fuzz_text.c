/* Bytes as a third party's title, reason or log: what is printed of them holds nothing that a
 * terminal would obey, fits where it must, and can be cleaned again without a change. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* Every line fits, and nothing but line ends controls anything. */
static void check_wrapped(const char *text, size_t indent, size_t width)
{
    char *wrapped = NULL;
    size_t bytes;
    FILE *stream = open_memstream(&wrapped, &bytes);
    check(stream);
    text_wrap(stream, text, 0, indent, width);
    fclose(stream);
    for (char *line = wrapped, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        check(text_width(line) <= width);
        for (const char *byte = line; *byte; byte++)
            check((unsigned char)*byte >= ' ' && *byte != 0x7F);
    }
    free(wrapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    char *text = arena_strndup(&arena, (const char *)data, size);
    char *clean = text ? text_clean(&arena, text) : NULL;
    check(clean);
    char *again = text_clean(&arena, clean);
    check(again && strcmp(clean, again) == 0);
    size_t width = size ? 12 + data[0] % 64 : 12;
    const char *fitted = text_fit(&arena, clean, width);
    check(fitted && text_width(fitted) <= width);
    check_wrapped(clean, width % 4, width);
    arena_free(&arena);
    return 0;
}
