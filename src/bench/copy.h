/* Engines that read safetensors alone get a copy of a GGUF, made once and kept in Prony's cache
 * folder as converted/SHA-256/: the weights as they are (block formats as float16), the
 * configuration, and the tokenizer where it has one. */
#ifndef PRONY_BENCH_COPY_H
#define PRONY_BENCH_COPY_H

#include "bench/plan.h"
#include "model/weights_write.h"

/* How the detail of such a variant begins. */
#define COPY_DETAIL "from a copy in safetensors"

/* Names the copy that variants load which cannot read the model themselves; nothing is made. */
enum status copy_find(struct plan *plan, struct error *err);
/* Whether a variant that can run here loads one, and it is not there yet. */
bool copy_is_needed(const struct plan *plan);
/* What was begun and not completed counts for nothing, and is begun anew. */
enum status copy_make(const struct plan *plan, const struct weight_progress *progress,
                      struct error *err);
/* What a variant loads. */
const char *copy_or_model(const struct plan *plan, const struct plan_variant *variant);

#endif
