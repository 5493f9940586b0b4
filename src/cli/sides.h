/* What two words of a command line stand for: variants of one run or of two, in pairs. */
#ifndef PRONY_CLI_SIDES_H
#define PRONY_CLI_SIDES_H

#include "bench/between.h"

struct sides_pair {
    size_t a, b;          /* variants: of the first and of the second word's run */
    const char *title[2]; /* as the user may write them: "native-f16", "7:native-f16" */
};

struct sides {
    struct record_run record[2];
    struct summary summary[2]; /* the second is not made where one_run */
    bool one_run;              /* then blocks are paired, and both are summary[0]'s */
    struct sides_pair *pairs;
    size_t pair_count;
    struct arena arena;
};

/* A word is a variant (native-f16), an installed version of an engine (pytorch@2.14.0: its
 * variants), a run (7: its variants), or a variant of a run (7:native-f16). run: where words that
 * name none are looked up; 0: the newest. Two single variants are a pair; else those are that have
 * the same name but for @VERSION. STATUS_USAGE when two runs did different work. On failure nothing
 * is left to free. */
enum status sides_open(struct sides *sides, const char *store_path, const char *const words[2],
                       int64_t run, struct error *err);
void sides_free(struct sides *sides);

/* The summary of the second word's run. */
const struct summary *sides_second(const struct sides *sides);

enum { SIDES_CAVEATS = 7 };

/* Sentences on what a pair's comparison does not show: a side that is not equivalent (that one
 * first), was not gated, was not steady, or was disturbed; a comparison that is not fair. */
enum status sides_caveats(struct sides *sides, const struct sides_pair *pair,
                          const char *caveats[SIDES_CAVEATS], size_t *count, struct error *err);
/* "--metric" and the words for it. */
#define SIDES_METRICS "tpot ttft model-load cold-start whole-start peak-memory"
enum metric sides_metric(const char *word);

#endif
