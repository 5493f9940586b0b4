#include "bench/gating.h"

#include <stdlib.h>
#include <string.h>

#include "bench/gating_parts.h"
#include "bench/logits_file.h"

/* The logits of the plan's stream, by one worker that lives for this alone. */
static enum status stream_write(struct seat *seat, const struct gating *gating,
                                struct logits_file *file, bool *partial, struct error *err)
{
    const struct plan *plan = gating->plan;
    if (seat->loaded.vocabulary != plan->model.config.vocabulary)
        return error_set(err, STATUS_FORMAT, "it has %u logits, and the model has %u ids",
                         seat->loaded.vocabulary, plan->model.config.vocabulary);
    file->partial = false;
    return worker_logits_write(seat->worker, plan->stream, plan->stream_tokens, file->path, partial,
                               err);
}

/* The files that matrices are exchanged in, and the scale of this model. */
struct streams {
    const struct gating *gating;
    struct logits_file reference, other;
    struct equivalence_scale scale;
    struct divergence_row *rounded,
        *found; /* [stream_tokens]: what the scale is of; by a variant */
    /* Of the native engine's own quantising; without rows until they are needed. */
    struct divergence quantised[EQUIVALENCE_QUANTISED];
    struct arena arena;
    const char *obstacle; /* why no variant can be gated; NULL: nothing */
};

static enum status measure(struct streams *streams, struct divergence *divergence,
                           struct error *err)
{
    return logits_files_compare(&streams->reference, &streams->other,
                                streams->gating->plan->stream_tokens, divergence, streams->found,
                                err);
}

/* What rounding does at those positions alone of which the last variant told something. */
static struct equivalence_scale scale_where_told(const struct streams *streams)
{
    struct divergence rounded;
    divergence_start(&rounded);
    for (size_t i = 0; i < streams->gating->plan->stream_tokens; i++)
        if (streams->found[i].told)
            divergence_add(&rounded, &streams->rounded[i]);
    return equivalence_scale_of(&rounded);
}

static enum status native_write(struct streams *streams, const char *variant, const char *quantize,
                                struct logits_file *file, struct error *err)
{
    const struct gating *gating = streams->gating;
    struct seat seat;
    progress_phase(gating->progress, variant, "equivalence: reference");
    enum status status =
        seat_native(&seat, gating, variant, quantize, gating->plan->stream_tokens, err);
    if (!status)
        status = stream_write(&seat, gating, file, NULL, err);
    worker_stop(seat.worker);
    return status;
}

/* How far a variant of the native engine lies from the reference. */
static enum status native_measure(struct streams *streams, const char *variant,
                                  const char *quantize, struct divergence *divergence,
                                  struct error *err)
{
    enum status status = native_write(streams, variant, quantize, &streams->other, err);
    if (!status)
        status = measure(streams, divergence, err);
    if (!status && divergence->broken)
        status = error_set(err, STATUS_FORMAT, "its logits are no finite numbers at %zu positions",
                           divergence->broken);
    return status;
}

/* The reference, and what rounding alone does to it. */
static enum status scale_take(struct streams *streams, struct error *err)
{
    const struct plan *plan = streams->gating->plan;
    struct divergence rounded;
    enum status status =
        native_write(streams, EQUIVALENCE_REFERENCE, NULL, &streams->reference, err);
    if (!status)
        status = native_measure(streams, EQUIVALENCE_ROUNDED, NULL, &rounded, err);
    if (!status) {
        streams->scale = equivalence_scale_of(&rounded);
        memcpy(streams->rounded, streams->found, plan->stream_tokens * sizeof *streams->rounded);
    }
    if (!status || status == STATUS_INTERRUPTED)
        return status;
    streams->obstacle = arena_printf(&streams->arena, "the float32 reference did not run: %s",
                                     error_line(err, &streams->arena));
    return streams->obstacle ? STATUS_OK : error_no_memory(err, 0);
}

/* What quantising so does in the native engine; NULL where there is no quantising. */
static enum status quantised_measure(struct streams *streams, const struct plan_variant *variant,
                                     const struct divergence **quantised, struct error *err)
{
    const char *quantize = variant->form.quantize;
    size_t which = equivalence_quantised(quantize);
    enum status status = STATUS_OK;
    *quantised = NULL;
    if (which == EQUIVALENCE_QUANTISED)
        return STATUS_OK;
    struct divergence *own = &streams->quantised[which];
    if (own->rows == 0) {
        struct divergence taken;
        status = native_measure(streams, EQUIVALENCE_QUANTISING, quantize, &taken, err);
        if (!status)
            *own = taken;
    }
    *quantised = own;
    return status;
}

/* Whether a variant is the very one that quantises for all: it needs no second turn. */
static bool is_native_quantised(const struct plan *plan, const struct plan_variant *variant)
{
    return strcmp(variant->variant->name, EQUIVALENCE_QUANTISING) == 0 &&
           variant->form.shard <= 1 && strcmp(plan->device, "cpu") == 0;
}

/* The precision that a row shows is the one whose bounds count. */
static const char *precision_of(const struct plan_variant *variant, const struct seat *seat)
{
    return *seat->loaded.precision ? seat->loaded.precision : plan_precision(variant);
}

/* What takes and gives text is held against the reference by the probabilities that it tells, or
 * else by the ids that it generates. */
static bool is_gated(const struct engine_variant *variant)
{
    return variant->logits || variant->text;
}

/* What is gated is what is timed: an engine that compiles for its context compiles once. */
static uint32_t context_of(const struct plan *plan, const struct plan_variant *variant)
{
    return variant->context > plan->stream_tokens ? variant->context : plan->stream_tokens;
}

/* What takes and gives text may have probabilities of some ids to tell. Where it says that there
 * are none, nothing is measured: no rows. */
static enum status seat_measure(struct streams *streams, struct seat *seat, bool text,
                                struct divergence *divergence, struct error *err)
{
    struct logits_file *file = &streams->other;
    enum status status =
        stream_write(seat, streams->gating, file, text ? &file->partial : NULL, err);
    if (text && status == STATUS_UNSUPPORTED)
        return STATUS_OK;
    if (!status)
        status = measure(streams, divergence, err);
    if (!status && divergence->rows == divergence->untold)
        status = error_set(err, STATUS_FORMAT, "it tells probabilities at none of %zu positions",
                           divergence->rows);
    return status;
}

/* By a worker of its own. */
static enum status worker_measure(struct streams *streams, const struct plan_variant *variant,
                                  struct divergence *divergence, const char **precision,
                                  struct error *err)
{
    const struct gating *gating = streams->gating;
    struct seat seat;
    progress_phase(gating->progress, variant->name, "equivalence");
    enum status status = seat_take(&seat, gating, variant, gating->plan->device,
                                   context_of(gating->plan, variant), err);
    if (!status)
        status = seat_measure(streams, &seat, variant->variant->text, divergence, err);
    if (!status && !(*precision = arena_strdup(&streams->arena, precision_of(variant, &seat))))
        status = error_no_memory(err, 0);
    worker_stop(seat.worker);
    return status;
}

static enum status variant_measure(struct streams *streams, const struct plan_variant *variant,
                                   struct record_equivalence *record, struct error *err)
{
    const struct divergence *quantised;
    struct divergence divergence;
    const char *precision = variant->form.quantize;
    divergence_start(&divergence);
    enum status status = quantised_measure(streams, variant, &quantised, err);
    if (status)
        return status;
    struct equivalence_scale scale = quantised ? equivalence_scale_of(quantised) : streams->scale;
    if (quantised && is_native_quantised(streams->gating->plan, variant))
        divergence = *quantised;
    else
        status = worker_measure(streams, variant, &divergence, &precision, err);
    if (status)
        return status;
    record->precision = precision;
    if (divergence.told_most)
        scale = scale_where_told(streams);
    if (!equivalence_bounds(precision, &scale, &record->kl_bound, &record->error_bound))
        return error_set(err, STATUS_UNSUPPORTED, "there are no bounds for %s", precision);
    if (divergence.rows)
        equivalence_record(record, &divergence);
    return STATUS_OK;
}

static enum status variant_gate(struct streams *streams, size_t index,
                                struct record_equivalence *record, struct error *err)
{
    const struct plan_variant *variant = &streams->gating->plan->variants[index];
    enum status status = STATUS_OK;
    *record = (struct record_equivalence){.precision = plan_precision(variant), .first = -1};
    if (streams->obstacle)
        record->why = streams->obstacle;
    else if (!is_gated(variant->variant))
        record->why = "its engine gives no logits";
    else
        status = variant_measure(streams, variant, record, err);
    if (status && status != STATUS_INTERRUPTED) {
        *record = (struct record_equivalence){.precision = plan_precision(variant),
                                              .why = error_line(err, &streams->arena),
                                              .first = -1};
        status = STATUS_OK;
    }
    return status;
}

/* Whether anything is to be held against the reference at all. */
static bool any_gated(const struct plan *plan)
{
    for (size_t i = 0; i < plan->variant_count; i++)
        if (!plan->variants[i].unavailable && is_gated(plan->variants[i].variant))
            return true;
    return false;
}

/* The control is the variant that it repeats. */
static size_t repeated(const struct plan *plan, size_t index)
{
    const char *of = plan->variants[index].control_of;
    for (size_t i = 0; of && i < index; i++)
        if (strcmp(plan->variants[i].name, of) == 0)
            return i;
    return index;
}

static enum status gate_all(struct streams *streams, struct record_equivalence *records,
                            struct error *err)
{
    const struct gating *gating = streams->gating;
    enum status status = any_gated(gating->plan) ? scale_take(streams, err) : STATUS_OK;
    for (size_t i = 0; i < gating->plan->variant_count && !status; i++) {
        size_t origin = repeated(gating->plan, i);
        if (records[i].precision || gating->plan->variants[i].unavailable)
            continue;
        if (origin != i)
            records[i] = records[origin];
        else
            status = variant_gate(streams, i, &records[i], err);
        if (!status)
            status = store_equivalence_put(gating->store, gating->run, i, &records[i], err);
        if (!status && origin == i && (records[i].why || records[i].positions))
            gating_tell(gating, gating->plan->variants[i].name, &records[i]);
    }
    return status;
}

static enum status streams_make_room(struct streams *streams, struct error *err)
{
    size_t rows = streams->gating->plan->stream_tokens;
    streams->rounded = arena_array(&streams->arena, rows, sizeof *streams->rounded);
    streams->found = arena_array(&streams->arena, rows, sizeof *streams->found);
    return streams->rounded && streams->found ? STATUS_OK : error_no_memory(err, rows);
}

enum status gating_streams(const struct gating *gating, struct error *err)
{
    struct streams streams = {.gating = gating};
    struct record_run run;
    bool due = false;
    if (!gating->plan->stream_tokens)
        return STATUS_OK;
    size_t vocabulary = gating->plan->model.config.vocabulary;
    enum status status = gating_records(gating, &run, &streams.arena, err);
    for (size_t i = 0; i < gating->plan->variant_count && !status; i++)
        due = due || (!run.equivalence[i].precision && !gating->plan->variants[i].unavailable);
    if (due) {
        status = streams_make_room(&streams, err);
        if (!status)
            status = logits_file_make(&streams.reference, vocabulary, err);
        if (!status)
            status = logits_file_make(&streams.other, vocabulary, err);
        if (!status)
            status = gate_all(&streams, run.equivalence, err);
        logits_file_remove(&streams.reference);
        logits_file_remove(&streams.other);
    }
    arena_free(&streams.arena);
    return status;
}
