/* What a variant's logits are held against when it holds a model in some form, quantised or split:
 * the native engine's in float32, within what the same form costs there. The equivalence gate does
 * the same for the columns of a run; this is for an engine by itself. */
#ifndef PRONY_BENCH_FORM_REFERENCE_H
#define PRONY_BENCH_FORM_REFERENCE_H

#include "bench/equivalence.h"
#include "engine/form.h"

/* catalogue and model are the caller's; the rest begins as 0 and is filled when it is needed. */
struct form_reference {
    const struct engine_catalogue *catalogue;
    const char *model;
    float *logits; /* [count, vocabulary] of the ids that are judged first */
    size_t count, vocabulary;
    struct equivalence_scale rounded, quantised[EQUIVALENCE_QUANTISED];
};

/* A matrix of logits, [count, vocabulary] after each of the ids, of a variant that holds the model
 * in a form and calls it that precision. */
struct form_logits {
    const struct engine_form *form;
    const char *precision;
    const int32_t *ids;
    size_t count, vocabulary;
    const float *logits;
};

/* The ids are the same in every call. STATUS_PROTOCOL tells how far the logits are off. */
enum status form_reference_judge(struct form_reference *reference, const struct form_logits *given,
                                 struct error *err);
void form_reference_free(struct form_reference *reference);

#endif
