/* Results in SQLite (WAL, foreign keys, schema versioned by user_version). Each process's record
 * is one transaction, written as it ends: a later failure, a kill included, loses nothing. */
#ifndef PRONY_STORE_STORE_H
#define PRONY_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "store/record.h"

struct store;

/* path NULL: $PRONY_STORE, else results.db in $XDG_DATA_HOME/prony or ~/.local/share/prony.
 * Creates it when missing. A full or read-only disk is an error here, before anything is
 * measured. */
enum status store_open(struct store **store, const char *path, struct error *err);
/* The same to read only, and make nothing: STATUS_NOT_FOUND when there is no store. A file of an
 * older version is brought up to date first, which alone writes. */
enum status store_open_read(struct store **store, const char *path, struct error *err);
void store_close(struct store *store);
const char *store_path(const struct store *store);

/* Begins a run; plan and manifest are JSON texts. */
enum status store_run_begin(struct store *store, const char *plan, const char *manifest,
                            const struct record_variant *variants, size_t variant_count,
                            int64_t *run, struct error *err);
/* Keeps a run to this process until the store is closed or the process ends, however it ends.
 * store_run_begin does it for the new run. STATUS_USAGE when another process measures it. */
enum status store_run_lock(struct store *store, int64_t run, struct error *err);
/* What the equivalence gate found of a variant; takes the place of an earlier record. */
enum status store_equivalence_put(struct store *store, int64_t run, size_t variant,
                                  const struct record_equivalence *record, struct error *err);
/* A process, and in the same transaction what it says of its variant; versions is NULL when that is
 * stored already, or unknown. */
enum status store_process_add(struct store *store, int64_t run,
                              const struct record_process *process,
                              const struct record_versions *versions, struct error *err);
/* "complete", "interrupted", or "running" again when it goes on; a run whose host dies stays
 * "running". */
enum status store_run_state(struct store *store, int64_t run, const char *state, struct error *err);

/* Adds runs that were measured elsewhere, all or none; each record's id becomes its new number.
 * STATUS_USAGE when one of them, by its uid, is here already. */
enum status store_runs_import(struct store *store, struct record_run *runs, size_t count,
                              struct error *err);
/* Removes runs for ever, all or none. STATUS_USAGE when one is being measured, STATUS_NOT_FOUND
 * when one is not there. */
enum status store_runs_remove(struct store *store, const int64_t *runs, size_t count,
                              struct error *err);

/* What a list of runs shows of each; texts live in the arena. */
struct store_listing {
    int64_t id;
    const char *created, *state, *uid, *manifest;
    int64_t variants, blocks, processes, failures; /* blocks: those with a process that went well */
    bool imported;
};
/* Oldest first. */
enum status store_runs_list(struct store *store, struct store_listing **list, size_t *count,
                            struct arena *arena, struct error *err);

/* The newest run measured here that is not complete. STATUS_NOT_FOUND when there is none. */
enum status store_run_unfinished(struct store *store, int64_t *run, struct error *err);
/* Reads a run into the arena; run 0 is the newest. STATUS_NOT_FOUND names what there is. */
enum status store_run_load(struct store *store, int64_t run, struct record_run *record,
                           struct arena *arena, struct error *err);

#endif
