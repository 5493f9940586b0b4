/* The ids that every variant is given: English text by the model's own tokenizer, or, for a model
 * that has none, ids spread over its vocabulary. */
#ifndef PRONY_BENCH_PROMPT_H
#define PRONY_BENCH_PROMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Fills ids[count]; count >= 1. *synthetic tells which of the two it was. */
enum status prompt_make(const char *model_path, uint32_t vocabulary, int32_t *ids, uint32_t count,
                        bool *synthetic, struct error *err);

#endif
