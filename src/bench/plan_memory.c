#include "bench/plan_memory.h"

#include <string.h>

#include "fit/fit.h"

/* The most positions that any process of the variant has. */
static uint32_t most_context(const struct plan *plan, const struct plan_variant *variant)
{
    uint32_t most = variant->context;
    for (size_t i = 1; i < plan->point_count; i++)
        if (plan->points[i].context > most)
            most = plan->points[i].context;
    return most;
}

/* A context that the user asked for can be smaller; what the run needs cannot. */
static uint32_t least_context(const struct plan *plan, const struct plan_request *request,
                              uint32_t most)
{
    return request->context.count == 1 ? plan->prompt_tokens + plan_tokens(plan) : most;
}

static enum status variant_check(const struct plan *plan, const struct plan_request *request,
                                 const struct plan_variant *variant, struct error *err)
{
    uint32_t context = most_context(plan, variant);
    const struct fit_request asked = {.engine = variant->engine,
                                      .variant = variant->variant,
                                      .model = &plan->model,
                                      .form = variant->form,
                                      .context = context,
                                      .least_context = least_context(plan, request, context),
                                      .threads = plan->threads,
                                      .device = plan->device,
                                      .pci = plan->gpu.pci};
    return fit_check(&asked, err);
}

static const char *left_out_before(const struct plan_request *request, const char *name)
{
    for (size_t i = 0; i < request->too_large_count; i++)
        if (strcmp(request->too_large[i].name, name) == 0)
            return request->too_large[i].why;
    return NULL;
}

enum status plan_memory_check(struct plan *plan, const struct plan_request *request,
                              struct error *err)
{
    bool any = false, refused = false;
    for (size_t i = 0; i < plan->variant_count; i++) {
        struct plan_variant *variant = &plan->variants[i];
        struct error why;
        if (variant->unavailable)
            continue;
        if (request->resumed) {
            variant->unavailable = left_out_before(request, variant->name);
        } else if (!request->no_memory_check && variant_check(plan, request, variant, &why)) {
            variant->unavailable = error_line(&why, &plan->arena);
            if (!refused)
                *err = why;
            refused = true;
        }
        variant->too_large = variant->unavailable;
        any = any || !variant->unavailable;
    }
    return any || !refused ? STATUS_OK : err->status;
}
