/* What the equivalence gate did not show of a run. */
#include <string.h>

#include "bench/notes_parts.h"

/* A reason's length without its full stop: many a hint ends with one, and the note goes on. */
static int reason_length(const char *reason)
{
    size_t length = strlen(reason);
    return (int)(length && reason[length - 1] == '.' ? length - 1 : length);
}

/* What was judged by less than logits. */
static void note_evidence(struct notes *notes, const char *name,
                          const struct record_equivalence *record, struct arena *arena)
{
    if (equivalence_is_by_ids(record))
        note_add(notes,
                 arena_printf(arena,
                              "%s gives no logits: it was held against the reference by %u ids "
                              "that it generated. Probabilities that are wrong and leave the "
                              "best id the best would not be seen.",
                              name, record->greedy_ids));
    else if (record->told)
        note_add(notes,
                 arena_printf(arena,
                              "%s gives no logits: it was held against the reference by the "
                              "probabilities of its best %u ids at each of %u positions, all "
                              "others as one. Its mean KL and largest error are the least that "
                              "they can be; how it shares out the rest would not be seen.",
                              name, record->told, record->positions));
}

static void note_variant(struct notes *notes, size_t index, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    const struct summary_variant *variant = &summary->variants[index];
    const struct record_equivalence *record = &summary->run->equivalence[index];
    const char *name = variant->variant->name;
    if (variant->equivalence == EQUIVALENCE_FAILED)
        note_add(notes,
                 arena_printf(arena, "%s is NOT EQUIVALENT, and in no ranking or verdict: %s.",
                              name, variant->equivalence_reason));
    else if (variant->equivalence == EQUIVALENCE_UNGATED)
        note_add(notes,
                 arena_printf(arena,
                              "%s was not gated: %.*s. Nothing here shows that it computes the "
                              "same thing.",
                              name, reason_length(variant->equivalence_reason),
                              variant->equivalence_reason));
    else
        note_evidence(notes, name, record, arena);
    if (variant->equivalence == EQUIVALENCE_GIVEN && !record->greedy_ids &&
        strcmp(summary->run->state, "complete") == 0)
        note_add(notes,
                 arena_printf(arena,
                              "The ids that %s generated were not held against the reference; "
                              "its %s were.",
                              name, record->told ? "probabilities" : "logits"));
}

void note_equivalence(struct notes *notes, struct arena *arena)
{
    const struct summary *summary = notes->summary;
    size_t known = 0;
    for (size_t i = 0; i < summary->variant_count; i++)
        known += summary->variants[i].equivalence != EQUIVALENCE_UNKNOWN;
    if (!known) {
        note_add(notes,
                 "The outputs were not checked: this run had no equivalence gate, so nothing "
                 "here shows that the variants compute the same thing.");
        return;
    }
    for (size_t i = 0; i < summary->variant_count; i++)
        if (summary->variants[i].equivalence != EQUIVALENCE_UNKNOWN)
            note_variant(notes, i, arena);
    if (summary->synthetic)
        note_add(notes,
                 "The model has no tokenizer: the equivalence gate gave synthetic ids, not text.");
}
