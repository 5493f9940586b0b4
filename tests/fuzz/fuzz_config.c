/* Bytes as a config.json: parsed and, when it is accepted, used for the rope frequencies. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "model/model.h"
#include "model/safetensors/hf_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model model = {0};
    struct error err;
    if (hf_config_parse(&model.config, (const char *)data, size, "fuzz", &err))
        return 0;
    float *frequencies = malloc(model.config.head_size * sizeof *frequencies);
    if (!frequencies)
        return 0;
    model_rope_frequencies(&model, frequencies);
    if (isnan(frequencies[0]) || model.config.heads % model.config.kv_heads)
        abort();
    free(frequencies);
    return 0;
}
