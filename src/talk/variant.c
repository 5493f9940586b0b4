#include "talk/variant.h"

#include <string.h>

#include "base/arena.h"
#include "base/suggest.h"
#include "engine/presence.h"
#include "engine/supports.h"
#include "fit/copy.h"
#include "model/quantisable.h"

enum status variant_choose(const struct engine_catalogue *catalogue, const char *name,
                           const struct engine **engine, const struct engine_variant **variant,
                           struct error *err)
{
    struct suggestion near = {.word = name};
    *variant = engine_variant_find(catalogue, name, engine);
    if (*variant)
        return STATUS_OK;
    *engine = engine_find(catalogue, name);
    if (*engine && (*engine)->variant_count > 0)
        return STATUS_OK;
    for (size_t i = 0; i < catalogue->count; i++)
        for (size_t v = 0; v < catalogue->engines[i].variant_count; v++)
            suggestion_offer(&near, catalogue->engines[i].variants[v].name);
    error_set(err, STATUS_NOT_FOUND, "there is no engine or variant '%s'", name);
    if (near.best)
        return error_remedy(err, "Did you mean '%s'?", near.best);
    return error_remedy(err, "'prony engines' lists those that are there.");
}

static enum status form_check(const struct engine_catalogue *catalogue,
                              const struct engine_variant *variant, const struct variant_task *task,
                              struct error *err)
{
    struct arena arena = {0};
    const char *obstacle = form_obstacle(catalogue, variant, &task->form, task->device, &arena);
    enum status status = STATUS_OK;
    if (obstacle)
        status = error_set(err, STATUS_UNSUPPORTED, "%s: %s", variant->name, obstacle);
    arena_free(&arena);
    if (status || !task->form.quantize)
        return status;
    return model_check_quantize(task->model, form_method(variant, task->form.quantize), err);
}

static enum status check(const struct engine_catalogue *catalogue,
                         const struct engine_variant *variant, const struct variant_task *task,
                         struct error *err)
{
    if (!supports_device(variant->devices, task->device)) {
        error_set(err, STATUS_UNSUPPORTED, "%s does not run on device %s", variant->name,
                  task->device);
        return error_remedy(err, "'prony engines' tells which devices an engine has.");
    }
    if (copy_need(variant, task->model) == COPY_NO_HELP)
        return copy_refuse(variant, task->model, err);
    if (task->samples && !variant->sampling) {
        error_set(err, STATUS_UNSUPPORTED, "%s cannot sample", variant->name);
        return error_remedy(err, "Use --temperature 0.");
    }
    if (task->profiles && !variant->trace) {
        error_set(err, STATUS_UNSUPPORTED, "%s makes no profile", variant->name);
        return error_remedy(err, "Leave --profile out, or use another --framework.");
    }
    return form_check(catalogue, variant, task, err);
}

static enum status installed_check(const struct engine *engine,
                                   const struct engine_variant *variant, const char *device,
                                   struct error *err)
{
    struct arena arena = {0};
    const char *obstacle = engine_obstacle(engine, variant, device, &arena);
    if (obstacle)
        error_set(err, STATUS_NOT_FOUND, "%s is not available: %s", variant->name, obstacle);
    arena_free(&arena);
    return obstacle ? err->status : STATUS_OK;
}

enum status variant_fit(const struct engine_catalogue *catalogue, const struct engine *engine,
                        const struct engine_variant **variant, const struct variant_task *task,
                        struct error *err)
{
    struct error other;
    const struct engine_variant *fit = *variant ? *variant : &engine->variants[0];
    enum status status = check(catalogue, fit, task, err);
    for (size_t i = 1; status && !*variant && i < engine->variant_count; i++)
        if (check(catalogue, &engine->variants[i], task, &other) == STATUS_OK) {
            fit = &engine->variants[i];
            status = STATUS_OK;
        }
    *variant = fit;
    return status ? status : installed_check(engine, fit, task->device, err);
}
