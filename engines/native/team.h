/* What the ranks of a split model settle before they compute: what to load, that they all have the
 * same model, and who has which processors. */
#ifndef NATIVE_TEAM_H
#define NATIVE_TEAM_H

#include <limits.h>

#include <prony/worker.h>

#include "llama/ranks.h"
#include "model/model.h"
#include "mpi.h"

struct team {
    struct mpi *mpi;
    struct ranks *ranks;
    uint32_t local; /* which of the ranks on this machine, */
    uint32_t here;  /* and how many they are */
};

/* What rank 0 has the others do. */
struct team_task {
    bool load; /* else: end */
    char model[PATH_MAX], variant[64], precision[32], quantize[32];
    uint32_t context, threads;
};

/* What a rank holds once it is ready. */
struct team_held {
    uint64_t weight_bytes, embedding_bytes, cache_bytes;
    uint32_t threads;
};

enum status team_open(struct team *team, struct error *err);
/* Rank 0 sends the others home; they leave when they are sent. */
void team_close(struct team *team);

/* Rank 0: a load begins. The others wait for it. */
void team_begin(struct team *team, const struct prony_load *request);
void team_wait(struct team *team, struct team_task *task);

/* All: with the status of having opened the model. Fails on all ranks when one of them could not,
 * or has another model, another Prony, or the model does not divide or cannot be quantised as it is
 * asked to; names the rank. */
enum status team_agree(struct team *team, enum status status, const struct model *model,
                       const struct prony_load *request, struct error *err);

/* This rank's share of the threads, whose processors it keeps to from now on. */
uint32_t team_threads(const struct team *team, uint32_t threads);

/* Rank 0 gets the sums over all ranks. From now on nobody waits for ever. */
void team_ready(struct team *team, struct team_held *held);

/* Ends this process: a rank that cannot load what all agreed upon. */
_Noreturn void team_fail(const struct team *team, const struct error *err);

#endif
