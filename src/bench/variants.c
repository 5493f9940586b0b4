#include "bench/variants.h"

#include <string.h>

#include "base/suggest.h"
#include "engine/presence.h"
#include "engine/supports.h"
#include "fit/copy.h"

/* Why a variant cannot run here in that form; NULL when it can. */
static const char *obstacle(struct plan *plan, const struct engine *engine,
                            const struct engine_variant *variant, const struct engine_form *form)
{
    if (!supports_device(variant->devices, plan->device))
        return arena_printf(&plan->arena, "it does not run on device %.*s; use --device %s",
                            (int)strcspn(plan->device, ":"), plan->device, variant->devices[0]);
    if (copy_need(variant, &plan->model) == COPY_NO_HELP)
        return copy_obstacle(&plan->model, &plan->arena);
    const char *missing =
        form_obstacle(&plan->catalogue, variant, form, plan->device, &plan->arena);
    return missing ? missing : engine_obstacle(engine, variant, plan->device, &plan->arena);
}

static enum status add(struct plan *plan, const struct plan_variant *added, struct error *err)
{
    struct plan_variant *grown =
        arena_array(&plan->arena, plan->variant_count + 1, sizeof *plan->variants);
    if (!grown)
        return error_no_memory(err, sizeof *grown);
    if (plan->variant_count)
        memcpy(grown, plan->variants, plan->variant_count * sizeof *grown);
    grown[plan->variant_count++] = *added;
    plan->variants = grown;
    return STATUS_OK;
}

static enum status append(struct plan *plan, const struct engine *engine,
                          const struct engine_variant *variant, const struct engine_form *asked,
                          struct error *err)
{
    struct engine_form form = form_of(variant, asked);
    struct plan_variant added = {.engine = engine,
                                 .variant = variant,
                                 .form = form,
                                 .name = form_name(&plan->arena, variant->name, &form),
                                 .title = form_title(&plan->arena, variant->title, &form)};
    for (size_t i = 0; i < plan->variant_count; i++)
        if (plan->variants[i].variant == variant && form_same(&plan->variants[i].form, &form))
            return STATUS_OK;
    added.copied = copy_need(variant, &plan->model) == COPY_NEEDED;
    added.unavailable = obstacle(plan, engine, variant, &form);
    return added.name && added.title ? add(plan, &added, err) : error_no_memory(err, 0);
}

/* The A/A control: the yardstick again, as a variant of its own. The yardstick is the native
 * engine's first variant that can run here, or else the first of any. */
static enum status append_control(struct plan *plan, struct error *err)
{
    const struct plan_variant *yardstick = NULL;
    for (size_t i = 0; i < plan->variant_count; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        bool native = strcmp(variant->engine->name, "native") == 0;
        if (!variant->unavailable &&
            (!yardstick || (native && strcmp(yardstick->engine->name, "native") != 0)))
            yardstick = variant;
    }
    if (!yardstick)
        return STATUS_OK; /* then nothing runs at all, which is said elsewhere */
    struct plan_variant control = *yardstick;
    control.control_of = yardstick->name;
    control.name = arena_printf(&plan->arena, "%s-control", yardstick->name);
    control.title = arena_printf(&plan->arena, "%s (control)", yardstick->title);
    if (!control.name || !control.title)
        return error_no_memory(err, strlen(yardstick->name));
    return add(plan, &control, err);
}

/* The corners beside pytorch-opt, which is float16 and compiled: each costs one of the two. */
static enum status corner(const struct plan_request *request, const struct engine *engine,
                          const struct engine_variant **variant, struct error *err)
{
    const char *instead = request->pytorch_no_compile && request->pytorch_no_half ? "pytorch-base"
                          : request->pytorch_no_compile ? "pytorch-opt-no-compile"
                          : request->pytorch_no_half    ? "pytorch-opt-no-half"
                                                        : NULL;
    if (!instead || strcmp((*variant)->own_name, "pytorch-opt") != 0)
        return STATUS_OK;
    for (size_t i = 0; i < engine->variant_count; i++)
        if (strcmp(engine->variants[i].own_name, instead) == 0) {
            *variant = &engine->variants[i];
            return STATUS_OK;
        }
    error_set(err, STATUS_NOT_FOUND, "this %s has no variant '%s'", engine->name, instead);
    return error_where(err, "%s", engine->folder);
}

/* Each way to quantise that is asked for, with each number of shards; all of them unless one is
 * named with its form. */
static size_t form_count(const struct plan_request *request)
{
    return (request->quantize_count ? request->quantize_count : 1) *
           (request->shard.count ? request->shard.count : 1);
}

static struct engine_form form_at(const struct plan_request *request, size_t i)
{
    size_t shards = request->shard.count ? request->shard.count : 1;
    return form_asked(request->quantize_count ? request->quantize[i / shards] : NULL,
                      request->shard.count ? request->shard.value[i % shards] : 1);
}

static enum status append_variant(struct plan *plan, const struct plan_request *request,
                                  const struct engine *engine, const struct engine_variant *variant,
                                  struct error *err)
{
    enum status status = corner(request, engine, &variant, err);
    for (size_t i = 0; i < form_count(request) && !status; i++) {
        struct engine_form form = form_at(request, i);
        status = append(plan, engine, variant, &form, err);
    }
    return status;
}

/* The variants of an engine that can take a form; where none can, its first, to say why. */
static enum status append_form(struct plan *plan, const struct plan_request *request,
                               const struct engine *engine, const struct engine_form *form,
                               struct error *err)
{
    const struct engine_variant *first = NULL;
    enum status status = STATUS_OK;
    bool any = false;
    for (size_t i = 0; i < engine->variant_count && !status; i++) {
        const struct engine_variant *variant = &engine->variants[i];
        if (!variant->by_default)
            continue;
        status = corner(request, engine, &variant, err);
        first = first ? first : variant;
        if (status || form_obstacle(&plan->catalogue, variant, form, plan->device, &plan->arena))
            continue;
        any = true;
        status = append(plan, engine, variant, form, err);
    }
    return status || any || !first ? status : append(plan, engine, first, form, err);
}

static enum status append_engine(struct plan *plan, const struct plan_request *request,
                                 const struct engine *engine, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < form_count(request) && !status; i++) {
        struct engine_form form = form_at(request, i);
        status = append_form(plan, request, engine, &form, err);
    }
    return status;
}

static enum status unknown(const struct engine_catalogue *catalogue, const char *name,
                           struct error *err)
{
    struct suggestion near = {.word = name};
    for (size_t i = 0; i < catalogue->problem_count; i++) {
        const char *folder = strrchr(catalogue->problems[i].folder, '/');
        if (folder && strcmp(folder + 1, name) == 0) {
            *err = catalogue->problems[i].error;
            return err->status;
        }
    }
    for (size_t i = 0; i < catalogue->count; i++) {
        suggestion_offer(&near, catalogue->engines[i].name);
        for (size_t v = 0; v < catalogue->engines[i].variant_count; v++)
            suggestion_offer(&near, catalogue->engines[i].variants[v].name);
    }
    error_set(err, STATUS_NOT_FOUND, "there is no engine or variant '%s'", name);
    if (near.best)
        return error_remedy(err, "Did you mean '%s'?", near.best);
    return error_remedy(err, "Folders with an engine.json are looked for in $PRONY_ENGINE_PATH and "
                             "beside the prony program.");
}

/* A variant with a form in its name, "native-f16+int8", which is then all that is asked of it. */
static enum status append_formed(struct plan *plan, const struct plan_request *request,
                                 const char *name, size_t length, const struct engine_form *form,
                                 struct error *err)
{
    const struct engine *engine;
    char *base = arena_strndup(&plan->arena, name, length);
    if (!base)
        return error_no_memory(err, length);
    if (request->quantize_count || request->shard.count) {
        error_set(err, STATUS_USAGE, "--framework %s says itself how to quantise and shard", name);
        return error_remedy(err, "Leave --quantize and --shard out, or name %s.", base);
    }
    const struct engine_variant *variant = engine_variant_find(&plan->catalogue, base, &engine);
    return variant ? append(plan, engine, variant, form, err)
                   : unknown(&plan->catalogue, name, err);
}

static enum status append_named(struct plan *plan, const struct plan_request *request,
                                const char *name, struct error *err)
{
    struct engine_form form;
    size_t length = form_parse(name, &form);
    if (name[length])
        return append_formed(plan, request, name, length, &form, err);
    const struct engine *engine = engine_find(&plan->catalogue, name);
    if (engine)
        return append_engine(plan, request, engine, err);
    const struct engine_variant *variant = engine_variant_find(&plan->catalogue, name, &engine);
    return variant ? append_variant(plan, request, engine, variant, err)
                   : unknown(&plan->catalogue, name, err);
}

/* An option that changes nothing would be a wrong measurement. */
static enum status pytorch_is_chosen(const struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->variant_count; i++)
        if (strcmp(plan->variants[i].engine->base, "pytorch") == 0)
            return STATUS_OK;
    error_set(err, STATUS_USAGE,
              "--pytorch-no-compile and --pytorch-no-half change pytorch-opt, "
              "which is not compared");
    return error_remedy(err, "Add --framework pytorch; if it is not there: prony engines install "
                             "pytorch.");
}

static enum status none_can_run(const struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->variant_count; i++)
        if (!plan->variants[i].unavailable)
            return STATUS_OK;
    if (plan->variant_count) {
        error_set(err, STATUS_NOT_FOUND, "none of the chosen variants can run here");
        return error_where(err, "%s: %s", plan->variants[0].name, plan->variants[0].unavailable);
    }
    error_set(err, STATUS_NOT_FOUND, "no engine is installed");
    return error_remedy(err, "Folders with an engine.json are looked for in $PRONY_ENGINE_PATH and "
                             "beside the prony program.");
}

enum status variants_choose(struct plan *plan, const struct plan_request *request,
                            struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->framework_count && !status; i++)
        status = append_named(plan, request, request->frameworks[i], err);
    for (size_t i = 0; !request->framework_count && i < plan->catalogue.count && !status; i++) {
        const struct engine *engine = &plan->catalogue.engines[i];
        if (!engine->hidden && engine_is_installed(engine))
            status = append_engine(plan, request, engine, err);
    }
    if (!status && (request->pytorch_no_compile || request->pytorch_no_half))
        status = pytorch_is_chosen(plan, err);
    if (!status)
        status = none_can_run(plan, err);
    return status || !request->control ? status : append_control(plan, err);
}
