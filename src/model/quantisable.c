#include "model/quantisable.h"

#include <string.h>

#include "model/shards.h"
#include "model/tensor_walk.h"

static enum status refuse(const struct model *model, const struct tensor *tensor, struct error *err)
{
    error_set(err, STATUS_UNSUPPORTED, "the model is quantised already: its tensor \"%s\" is %s",
              tensor->name, tensor_type_name(tensor->type));
    error_where(err, "%s", model->path);
    return error_remedy(err, "Leave --quantize out, or use the model's F32, F16 or BF16 file.");
}

/* Weights that share a scale, where rows have several. */
static uint64_t block_of(const char *quantize)
{
    return strcmp(quantize, "nf4") == 0    ? NF4_BLOCK
           : strcmp(quantize, "q8_0") == 0 ? Q8_0_BLOCK
                                           : 1;
}

/* The width of what is quantised that is no whole number of blocks; 0: there is none. */
static uint64_t odd_width(const struct model_config *config, uint64_t block)
{
    const uint64_t widths[] = {config->hidden_size, config->ffn_size,
                               (uint64_t)config->heads * config->head_size};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (widths[i] % block)
            return widths[i];
    return 0;
}

enum status model_check_quantize(const struct model *model, const char *quantize, struct error *err)
{
    const struct tensor *tensor;
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++)
        if (tensor_type_block(tensor->type) != 1)
            return refuse(model, tensor, err);
    uint64_t block = block_of(quantize), width = odd_width(&model->config, block);
    if (!width)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED,
              "%s has blocks of %llu weights, and the model has rows of %llu", quantize,
              (unsigned long long)block, (unsigned long long)width);
    error_where(err, "%s", model->path);
    return error_remedy(err, block == Q8_0_BLOCK ? "Use --quantize int8 with an engine that has it."
                                                 : "Use --quantize int8.");
}

enum status model_check_form(const struct model *model, const char *quantize, uint32_t shards,
                             uint32_t devices, struct error *err)
{
    enum status status = shards_check(&model->config, shards, devices, err);
    if (status || !quantize || !*quantize)
        return status;
    status = model_check_quantize(model, quantize, err);
    return status ? status : shards_check_blocks(&model->config, quantize, shards, err);
}
