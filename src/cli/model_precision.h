/* The names of the precisions that models are written in. */
#ifndef PRONY_CLI_MODEL_PRECISION_H
#define PRONY_CLI_MODEL_PRECISION_H

#include <string.h>

#include "model/tensor.h"

#define PRECISION_NAMES "float32 float16 bfloat16"

/* name is one of PRECISION_NAMES. */
static inline enum tensor_type model_precision_parse(const char *name)
{
    return strcmp(name, "float32") == 0   ? TENSOR_F32
           : strcmp(name, "float16") == 0 ? TENSOR_F16
                                          : TENSOR_BF16;
}

#endif
