/* What the figures of a run say, a paragraph for each subject, as text without layout. Each returns
 * "" when the figures do not support a sentence. */
#ifndef PRONY_REPORT_FINDINGS_H
#define PRONY_REPORT_FINDINGS_H

#include "report/phrase.h"

enum { TOPICS = 6 };

/* Running, first token, loading, cold start, whole start, memory. */
extern const struct topic topics[TOPICS];

struct findings {
    const struct summary *summary;
    const size_t *order; /* of the table's columns */
    const char **titles; /* [variant_count], by variant */
    struct arena *arena;
    bool failed; /* no memory: what was returned is not complete */
};

void findings_init(struct findings *findings, const struct summary *summary, struct arena *arena);

/* "native-f16 generates 81.4 tok/s (79.3–83.5): 1.90x faster than native-f32 (1.84–1.96)." */
const char *finding_topic(struct findings *findings, const struct topic *topic);
/* What a peak holds: weights, and what is besides. */
const char *finding_memory(struct findings *findings);
/* How much longer a fresh process takes to its first token than a warm one. */
const char *finding_warmup(struct findings *findings);
/* What the variants of an engine gain over its float32 one. */
const char *finding_precision(struct findings *findings);
/* What compiling changes. */
const char *finding_compiling(struct findings *findings);
/* What splitting over devices changes and costs. */
const char *finding_splitting(struct findings *findings);
/* What the equivalence gate showed. */
const char *finding_equivalence(struct findings *findings);
/* The share of what memory can deliver. */
const char *finding_limit(struct findings *findings);
/* Pairs that no verdict could be reached on though there were blocks enough. */
const char *finding_undecided(struct findings *findings);
/* Variants of which nothing is known. */
const char *finding_failed(struct findings *findings);

#endif
