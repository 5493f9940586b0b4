/* Converts a model between GGUF and safetensors and between precisions. Block formats are
 * dequantised; tokenizer, chat template and rope scaling come along. */
#ifndef PRONY_MODEL_CONVERT_H
#define PRONY_MODEL_CONVERT_H

#include "base/error.h"
#include "model/model.h"
#include "model/model_write.h"

/* The precision that the matrices are stored in; F16 for block formats. */
enum tensor_type convert_precision(const struct model *model);

/* note->status is not STATUS_OK when the model was converted without its tokenizer, and note then
 * says why. STATUS_USAGE when output would replace the model; STATUS_UNSUPPORTED when the format or
 * the precision cannot hold what the model has. *bytes is the size of the weights file. */
enum status model_convert(const struct model *model, const struct model_output *output,
                          uint64_t *bytes, struct error *note, struct error *err);

#endif
