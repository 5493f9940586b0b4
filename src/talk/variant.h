/* Which engine answers: by name, and whether it can with this model. */
#ifndef PRONY_TALK_VARIANT_H
#define PRONY_TALK_VARIANT_H

#include "engine/manifest.h"
#include "model/model.h"

/* name is a variant, or an engine: its first variant. STATUS_NOT_FOUND names the nearest. */
enum status variant_choose(const struct engine_catalogue *catalogue, const char *name,
                           const struct engine **engine, const struct engine_variant **variant,
                           struct error *err);

/* STATUS_UNSUPPORTED when the variant does not read the model's format, does not run on the
 * device, or cannot sample and has to. */
enum status variant_check(const struct engine_variant *variant, const struct model *model,
                          const char *device, bool samples, struct error *err);

#endif
