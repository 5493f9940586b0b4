/* Bytes as a GGUF file: parsed, its arrays of strings walked, every check of model_open, every
 * tensor touched. */
#include <stdint.h>

#include "../support/use_model.h"
#include "model/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk_strings(const struct gguf *gguf)
{
    size_t total = 0;
    for (uint64_t i = 0; i < gguf->pair_count; i++) {
        const struct gguf_value *value = &gguf->pairs[i].value;
        struct gguf_walk walk = gguf_walk_start(value);
        struct gguf_string text;
        while (value->type == GGUF_STRING && gguf_walk_next(&walk, &text))
            total += text.bytes ? (unsigned char)text.data[text.bytes - 1] : 0;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf gguf;
    struct model model = {0};
    struct error err;
    if (gguf_parse(&gguf, data, size, "fuzz", &err))
        return 0;
    if (walk_strings(&gguf) > size * 256)
        abort();
    for (uint64_t i = 0; i < gguf.tensor_count; i++)
        use_tensor(&gguf.tensors[i]);
    if (model_build_gguf(&model, &gguf, 1, &err) == STATUS_OK)
        use_model(&model);
    arena_free(&model.arena);
    gguf_close(&gguf);
    return 0;
}
