/* Bytes as a GGUF model in parts, each after its length in 4 bytes: parsed, held against each
 * other, and bound together as model_open does it. */
#include <stdint.h>
#include <string.h>

#include "../support/use_model.h"
#include "model/build.h"
#include "model/gguf/gguf_split.h"

enum { MAX_PARTS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next part in a block of exactly its size, with the alignment of a map; NULL: there is none.
 */
static void *part_take(const uint8_t **data, size_t *size, size_t *bytes)
{
    uint32_t length;
    if (*size < sizeof length)
        return NULL;
    memcpy(&length, *data, sizeof length);
    *data += sizeof length;
    *size -= sizeof length;
    *bytes = length < *size ? length : *size;
    void *part = malloc(*bytes ? *bytes : 1);
    if (!part)
        abort();
    memcpy(part, *data, *bytes);
    *data += *bytes;
    *size -= *bytes;
    return part;
}

static void use_parts(const struct gguf *parts, uint32_t count)
{
    struct model model = {0};
    struct error err;
    if (gguf_split_check(parts, count, &err) == STATUS_OK &&
        model_build_gguf(&model, parts, count, &err) == STATUS_OK)
        use_model(&model);
    arena_free(&model.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf parts[MAX_PARTS];
    void *bytes[MAX_PARTS + 1];
    uint32_t taken = 0, parsed = 0;
    struct error err;
    size_t length;
    while (taken < MAX_PARTS && parsed == taken &&
           (bytes[taken] = part_take(&data, &size, &length))) {
        parsed += gguf_parse(&parts[taken], bytes[taken], length, "fuzz", &err) == STATUS_OK;
        taken++;
    }
    if (parsed && parsed == taken)
        use_parts(parts, parsed);
    for (uint32_t i = 0; i < taken; i++) {
        if (i < parsed)
            gguf_close(&parts[i]);
        free(bytes[i]);
    }
    return 0;
}
