/* Variants of two runs: what can be said of them though no block holds both. Each run stands for
 * itself, so nothing cancels out that changed from one to the other. */
#ifndef PRONY_BENCH_BETWEEN_H
#define PRONY_BENCH_BETWEEN_H

#include "base/arena.h"
#include "base/error.h"
#include "bench/gate.h"
#include "bench/summary.h"

struct between_side {
    const struct summary *summary;
    size_t variant;
};

struct between {
    struct estimate ratio; /* of a to b, above 1 when a is better; blocks of the side with fewer */
    size_t blocks_a, blocks_b;
    double deviation_a, deviation_b; /* of the logarithms, over each side's blocks */
    double zone;                     /* the wider of the two runs' */
    double p;                        /* that the ratio lies within the zone */
    enum verdict verdict;
};

/* Welch's interval over the logarithms of each block's value. Its verdict is that of one
 * comparison. The ratio is not known when a side was not measured or is not equivalent. */
enum status between_make(struct between *between, const struct between_side *a,
                         const struct between_side *b, enum metric metric, struct arena *arena,
                         struct error *err);
/* Verdicts of a family: Holm adjusts its p values together. STATUS_NO_MEMORY is the only error. */
enum status between_family(struct between *family, size_t count, struct arena *arena,
                           struct error *err);

/* gate_judge for two runs; more_blocks are blocks of each. */
struct gate between_gate(const struct between *between, double limit);

/* Whether two runs gave their engines the same work: model, prompt, tokens, threads, context,
 * device and fairness. STATUS_USAGE names what differs. */
enum status between_same_work(const struct record_run *a, const struct record_run *b,
                              struct error *err);
/* Whether they ran on one kind of machine: *differs says what does not match, NULL when all does.
 */
enum status between_machines(const struct record_run *a, const struct record_run *b,
                             const char **differs, struct arena *arena, struct error *err);

enum { BETWEEN_ASIDES = 4 };

/* What else changed from one run to the other and may have had a part in the difference: Prony's
 * version, what else the blocks held. As many as *count, without a full stop. */
enum status between_asides(const struct record_run *a, const struct record_run *b,
                           const char *asides[BETWEEN_ASIDES], size_t *count, struct arena *arena,
                           struct error *err);

#endif
