/* Llama 3's rope scaling in its two forms: four numbers in config.json, or in GGUF a tensor of
 * divisors, one for each frequency. */
#ifndef PRONY_MODEL_ROPE_FACTORS_H
#define PRONY_MODEL_ROPE_FACTORS_H

#include <stdbool.h>

#include "model/config.h"

/* The divisors (head_size / 2 of them) that config->rope, of kind llama3, stands for. */
void rope_factors_make(const struct model_config *config, float *out);

/* Finds the numbers that give these divisors, and sets config->rope; false when no Llama 3 scaling
 * does. */
bool rope_factors_explain(struct model_config *config, const float *factors);

#endif
