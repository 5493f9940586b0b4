#include "bench/gating_parts.h"

#include "fit/quantised.h"

enum status seat_take(struct seat *seat, const struct gating *gating,
                      const struct plan_variant *variant, const char *device, uint32_t context,
                      struct error *err)
{
    struct worker_options options = {.cancel_fd = gating->cancel_fd};
    struct worker_hello hello;
    char kept[PATH_MAX];
    struct worker_load request = {.model = plan_source(gating->plan, variant),
                                  .variant = variant->variant->name,
                                  .device = device,
                                  .quantize = variant->form.quantize,
                                  .keep_at = kept,
                                  .shard = variant->form.shard,
                                  .threads = gating->plan->threads,
                                  .context = context};
    *seat = (struct seat){0};
    enum status status = quantised_path(kept, variant->engine, variant->variant, &variant->form,
                                        &gating->plan->model, err);
    if (!status)
        status = worker_start(&seat->worker, variant->engine, &options, &hello, err);
    return status ? status : worker_load(seat->worker, &request, &seat->loaded, err);
}

enum status seat_native(struct seat *seat, const struct gating *gating, const char *variant,
                        const char *quantize, uint32_t context, struct error *err)
{
    struct plan_variant taken = {.form = {quantize, 1}};
    *seat = (struct seat){0};
    taken.variant = engine_variant_find(&gating->plan->catalogue, variant, &taken.engine);
    if (!taken.variant)
        return error_set(err, STATUS_NOT_FOUND, "there is no variant %s", variant);
    return seat_take(seat, gating, &taken, "cpu", context, err);
}

void gating_tell(const struct gating *gating, const char *name,
                 const struct record_equivalence *record)
{
    struct arena arena = {0};
    const char *reason = equivalence_reason(record, &arena), *outcome = NULL;
    enum equivalence verdict = equivalence_judge(record);
    if (verdict == EQUIVALENCE_GIVEN && equivalence_is_by_ids(record))
        outcome = arena_printf(
            &arena,
            "equivalent by its ids alone: of %u, the worst %.2g %% of the range below the "
            "reference's best (%s: up to %.2g %%)",
            record->greedy_ids, record->greedy_margin * 100, record->precision,
            equivalence_margin_bound(record) * 100);
    else if (verdict == EQUIVALENCE_GIVEN)
        outcome =
            arena_printf(&arena, "equivalent: mean KL %s%.2g nat (%s: up to %.2g), top-1 %.1f %%",
                         equivalence_least(record, &arena), record->kl_mean, record->precision,
                         record->kl_bound, 100.0 * record->agreeing / record->positions);
    else if (reason)
        outcome =
            arena_printf(&arena, "%s: %s",
                         verdict == EQUIVALENCE_FAILED ? "NOT EQUIVALENT" : "not gated", reason);
    progress_note(gating->progress, "equivalence", name, outcome ? outcome : "");
    arena_free(&arena);
}

enum status gating_records(const struct gating *gating, struct record_run *run, struct arena *arena,
                           struct error *err)
{
    enum status status = store_run_load(gating->store, gating->run, run, arena, err);
    if (!status && !run->equivalence)
        run->equivalence = arena_array(arena, run->variant_count + 1, sizeof *run->equivalence);
    return status || run->equivalence ? status : error_no_memory(err, run->variant_count);
}
