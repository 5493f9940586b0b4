/* Rows of the tables as they are written, within the caller's transaction. */
#ifndef PRONY_STORE_WRITE_H
#define PRONY_STORE_WRITE_H

#include "store/record.h"
#include "store/sql.h"

/* Ends a transaction: commits when all went well, else takes it back and keeps the first error. */
enum status transaction_end(sqlite3 *db, enum status status, struct error *err);

/* The variants of a new run, without what processes say of them later. */
enum status variants_write(sqlite3 *db, int64_t run, const struct record_variant *variants,
                           size_t count, struct error *err);
enum status versions_write(sqlite3 *db, int64_t run, size_t variant,
                           const struct record_versions *versions, struct error *err);
/* A process with its phases and tokens. */
enum status process_write(sqlite3 *db, int64_t run, const struct record_process *process,
                          struct error *err);

/* What the gate found of a variant, in place of what is there. */
enum status equivalence_write(sqlite3 *db, int64_t run, size_t variant,
                              const struct record_equivalence *record, struct error *err);

#endif
