/* Whether two engines compute the same thing: how far a variant's logits may lie from the float32
 * reference's. docs/equivalence.md derives the bounds. */
#ifndef PRONY_BENCH_EQUIVALENCE_H
#define PRONY_BENCH_EQUIVALENCE_H

#include <stdbool.h>

#include "stats/divergence.h"
#include "store/record.h"

struct arena;

enum equivalence {
    EQUIVALENCE_UNKNOWN, /* the run had no gate, or it did not get that far */
    EQUIVALENCE_GIVEN,
    EQUIVALENCE_FAILED, /* shown, and left out of every ranking and verdict */
    EQUIVALENCE_UNGATED /* it could not be held against the reference */
};

extern const char *const equivalence_names[]; /* "equivalent", …: for files */

enum {
    EQUIVALENCE_POSITIONS = 128, /* of text, unless more are asked for */
    EQUIVALENCE_GREEDY = 256     /* generated ids that are held against the reference, at most */
};

/* What rounding to bfloat16 alone does to the logits of the model at hand, on the text at hand:
 * measured, in every run, by the native engine. Every bound is a multiple of it; those of int8 and
 * nf4 are multiples of what the native engine's own int8 or nf4 does, and those of q8_0 of what it
 * does where weights, and what products take, are rounded so. */
struct equivalence_scale {
    double kl_mean, error_most;
};

/* The variants of the native engine that everything is held against: the reference, that whose
 * every operation is rounded, that which quantises. */
#define EQUIVALENCE_REFERENCE "native-f32"
#define EQUIVALENCE_ROUNDED "native-rounded"
#define EQUIVALENCE_QUANTISING "native-f16"

/* The ways to quantise that have scales of their own. */
enum { EQUIVALENCE_INT8, EQUIVALENCE_NF4, EQUIVALENCE_Q8_0, EQUIVALENCE_QUANTISED };
/* Which of them it is; EQUIVALENCE_QUANTISED: none. quantize may be NULL. */
size_t equivalence_quantised(const char *quantize);

/* What was measured, as a scale. */
struct equivalence_scale equivalence_scale_of(const struct divergence *divergence);

/* Fills the bounds of a precision: "float32", "float16", "bfloat16", "mixed", "int8", "nf4",
 * "q8_0". False when there is none for it. */
bool equivalence_bounds(const char *precision, const struct equivalence_scale *scale,
                        double *kl_bound, double *error_bound);

/* What was measured of a stream, as it is recorded. */
void equivalence_record(struct record_equivalence *record, const struct divergence *divergence);

/* The verdict on a record. Never depends on anything else: a stored run keeps its verdicts. */
enum equivalence equivalence_judge(const struct record_equivalence *record);

/* Whether all that is known of it is the ids that it generated: its engine gives no logits. */
bool equivalence_is_by_ids(const struct record_equivalence *record);

/* A chosen id may fall short of the reference's maximum by so much of its range: the maximum may
 * be off by the bound, and so may the id that took its place. */
double equivalence_margin_bound(const struct record_equivalence *record);

/* What stands before a figure of one that told the probabilities of some ids: "by 20 ids at 93
 * positions at least "; else "". In the arena. NULL: no memory. */
const char *equivalence_least(const struct record_equivalence *record, struct arena *arena);

/* Why it failed, or was not gated, as the end of a sentence; in the arena. NULL: no memory. */
const char *equivalence_reason(const struct record_equivalence *record, struct arena *arena);

#endif
