#include "bench/quantising.h"

#include <stdio.h>

#include "base/clock.h"
#include "bench/gating_parts.h"
#include "fit/quantised.h"

static void tell(const struct gating *gating, const struct plan_variant *variant,
                 const struct seat *seat, int64_t ns, const char *path)
{
    char text[PATH_MAX + 128];
    snprintf(text, sizeof text, "to %s in %.1f s, %.3f GB, kept in %s", variant->form.quantize,
             (double)ns * 1e-9, (double)seat->loaded.weight_bytes / 1e9, path);
    progress_note(gating->progress, "quantised", variant->name, text);
}

/* By a worker that lives for this alone. */
static enum status make(const struct gating *gating, const struct plan_variant *variant,
                        const char *path, struct error *err)
{
    struct seat seat;
    int64_t start_ns = clock_now_ns();
    progress_phase(gating->progress, variant->name, "quantising");
    enum status status =
        seat_take(&seat, gating, variant, gating->plan->device, variant->context, err);
    if (!status)
        tell(gating, variant, &seat, clock_now_ns() - start_ns, path);
    worker_stop(seat.worker);
    return status == STATUS_INTERRUPTED ? status : STATUS_OK;
}

enum status quantising_prepare(const struct gating *gating, struct error *err)
{
    const struct plan *plan = gating->plan;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->variant_count && !status; i++) {
        const struct plan_variant *variant = &plan->variants[i];
        char path[PATH_MAX];
        struct error shown_later;
        if (!variant->unavailable &&
            !quantised_path(path, variant->engine, variant->variant, &variant->form, &plan->model,
                            &shown_later) &&
            *path && !quantised_is_made(path))
            status = make(gating, variant, path, err);
    }
    return status;
}
