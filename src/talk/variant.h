/* Which engine answers: by name, and whether it can with this model. */
#ifndef PRONY_TALK_VARIANT_H
#define PRONY_TALK_VARIANT_H

#include "engine/form.h"
#include "engine/manifest.h"
#include "model/model.h"

/* name is a variant, or an engine: *variant is then NULL, for variant_fit to choose.
 * STATUS_NOT_FOUND names the nearest. */
enum status variant_choose(const struct engine_catalogue *catalogue, const char *name,
                           const struct engine **engine, const struct engine_variant **variant,
                           struct error *err);

/* What a variant has to do. */
struct variant_task {
    const struct model *model;
    const char *device;
    struct engine_form form;
    bool samples, profiles;
};
/* The engine's first variant that can do the task, unless one is named. STATUS_UNSUPPORTED when it
 * does not read the model's format, does not run on the device, or cannot sample, be profiled,
 * quantise or shard and has to; STATUS_NOT_FOUND when the engine is not installed. */
enum status variant_fit(const struct engine_catalogue *catalogue, const struct engine *engine,
                        const struct engine_variant **variant, const struct variant_task *task,
                        struct error *err);

#endif
