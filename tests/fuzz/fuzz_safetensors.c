/* Bytes as a safetensors file: parsed, bound to a tiny untied model, every tensor touched. */
#include <stdint.h>

#include "../support/use_model.h"
#include "model/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    struct model model = {.config = {.hidden_size = 8,
                                     .layers = 1,
                                     .heads = 2,
                                     .kv_heads = 1,
                                     .head_size = 4,
                                     .ffn_size = 8,
                                     .vocabulary = 4,
                                     .context = 16,
                                     .norm_eps = 1e-5f,
                                     .rope_base = 10000}};
    struct error err;
    if (safetensors_parse(&file, data, size, "fuzz", &err))
        return 0;
    for (uint64_t i = 0; i < file.tensor_count; i++)
        use_tensor(&file.tensors[i]);
    if (model_build_safetensors(&model, &file, 1, &err) == STATUS_OK)
        use_model(&model);
    arena_free(&model.arena);
    safetensors_close(&file);
    return 0;
}
