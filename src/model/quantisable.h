/* Whether a model's weights can be quantised on load (docs/quantisation.md). */
#ifndef PRONY_MODEL_QUANTISABLE_H
#define PRONY_MODEL_QUANTISABLE_H

#include "model/model.h"

enum { NF4_BLOCK = 64, Q8_0_BLOCK = 32 }; /* weights of a row that share a scale */

/* quantize: "int8", "nf4", "float16", "q8_0". STATUS_UNSUPPORTED names the first tensor that is in
 * a block format already (its own numbers are gone), or whose rows are no whole number of blocks.
 */
enum status model_check_quantize(const struct model *model, const char *quantize,
                                 struct error *err);

/* Whether a model can be split over so many of the devices (model/shards.h), and quantised as well;
 * quantize NULL, "": it is not. */
enum status model_check_form(const struct model *model, const char *quantize, uint32_t shards,
                             uint32_t devices, struct error *err);

#endif
