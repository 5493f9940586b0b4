/* Writes the head of a safetensors file. The weights follow at the offsets it gives them. */
#ifndef PRONY_MODEL_SAFETENSORS_WRITE_H
#define PRONY_MODEL_SAFETENSORS_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "model/layout.h"

/* Writes the head at the start of stream and sets the weights' offsets. *file_bytes is the size of
 * the whole file. */
enum status safetensors_write_head(FILE *stream, struct weight *weights, size_t count,
                                   uint64_t *file_bytes, struct error *err);

#endif
