#include "bench/form_reference.h"

#include <stdlib.h>

#include "base/arena.h"
#include "engine/worker.h"

/* Logits of a variant of the native engine, by one worker that lives for this alone. */
static enum status native_logits(struct form_reference *reference, const char *variant,
                                 const char *quantize, const int32_t *ids, size_t count,
                                 float **logits, struct error *err)
{
    const struct engine *engine;
    const struct worker_options options = {.cancel_fd = -1};
    const struct worker_load request = {.model = reference->model,
                                        .variant = variant,
                                        .quantize = quantize,
                                        .context = (uint32_t)count};
    struct worker_hello hello;
    struct worker_loaded loaded = {0};
    struct worker *worker = NULL;
    *logits = NULL;
    if (!engine_variant_find(reference->catalogue, variant, &engine))
        return error_set(err, STATUS_NOT_FOUND, "there is no variant %s", variant);
    enum status status = worker_start(&worker, engine, &options, &hello, err);
    if (!status)
        status = worker_load(worker, &request, &loaded, err);
    if (!status)
        status = worker_logits(worker, ids, count, logits, NULL, err);
    if (!status)
        reference->vocabulary = loaded.vocabulary;
    worker_stop(worker);
    return status;
}

static struct divergence divergence_from(const struct form_reference *reference,
                                         const float *logits)
{
    struct divergence divergence;
    divergence_start(&divergence);
    for (size_t i = 0; i < reference->count; i++) {
        struct divergence_row row;
        size_t at = i * reference->vocabulary;
        divergence_of_row(reference->logits + at, logits + at, reference->vocabulary, &row);
        divergence_add(&divergence, &row);
    }
    return divergence;
}

/* What a variant of the native engine costs; once. */
static enum status scale_take(struct form_reference *reference, const char *variant,
                              const char *quantize, const int32_t *ids,
                              struct equivalence_scale *scale, struct error *err)
{
    float *logits;
    if (scale->error_most > 0)
        return STATUS_OK;
    enum status status =
        native_logits(reference, variant, quantize, ids, reference->count, &logits, err);
    if (status)
        return status;
    struct divergence cost = divergence_from(reference, logits);
    *scale = equivalence_scale_of(&cost);
    free(logits);
    return STATUS_OK;
}

static enum status scale_of(struct form_reference *reference, const char *quantize,
                            const int32_t *ids, const struct equivalence_scale **scale,
                            struct error *err)
{
    size_t which = equivalence_quantised(quantize);
    bool own = which != EQUIVALENCE_QUANTISED;
    struct equivalence_scale *taken = own ? &reference->quantised[which] : &reference->rounded;
    *scale = taken;
    return own ? scale_take(reference, EQUIVALENCE_QUANTISING, quantize, ids, taken, err)
               : scale_take(reference, EQUIVALENCE_ROUNDED, NULL, ids, taken, err);
}

/* The reference's own logits; once. */
static enum status reference_take(struct form_reference *reference, const struct form_logits *given,
                                  struct error *err)
{
    if (reference->logits)
        return STATUS_OK;
    reference->count = given->count;
    return native_logits(reference, EQUIVALENCE_REFERENCE, NULL, given->ids, given->count,
                         &reference->logits, err);
}

enum status form_reference_judge(struct form_reference *reference, const struct form_logits *given,
                                 struct error *err)
{
    const struct equivalence_scale *scale;
    struct record_equivalence record = {.precision = given->precision};
    struct arena arena = {0};
    enum status status = reference_take(reference, given, err);
    if (!status && given->vocabulary != reference->vocabulary)
        status = error_set(err, STATUS_PROTOCOL, "it has %zu logits, and the model has %zu ids",
                           given->vocabulary, reference->vocabulary);
    if (!status)
        status = scale_of(reference, given->form->quantize, given->ids, &scale, err);
    if (status)
        return status;
    struct divergence divergence = divergence_from(reference, given->logits);
    equivalence_record(&record, &divergence);
    if (!equivalence_bounds(given->precision, scale, &record.kl_bound, &record.error_bound))
        return error_set(err, STATUS_UNSUPPORTED, "there are no bounds for %s", given->precision);
    if (equivalence_judge(&record) == EQUIVALENCE_FAILED) {
        const char *reason = equivalence_reason(&record, &arena);
        status = error_set(err, STATUS_PROTOCOL, "it computes something else: %s",
                           reason ? reason : "there is no memory to say what");
    }
    arena_free(&arena);
    return status;
}

void form_reference_free(struct form_reference *reference)
{
    free(reference->logits);
    *reference = (struct form_reference){0};
}
