/* The tables, and how older files become newer: one script per version of the schema. */
#ifndef PRONY_STORE_SCHEMA_H
#define PRONY_STORE_SCHEMA_H

#include "base/error.h"

struct sqlite3;

/* Whether this program reads the file, without writing: *older says that schema_migrate comes
 * first. STATUS_UNSUPPORTED when a newer program wrote it, STATUS_FORMAT when it holds something
 * else, STATUS_NOT_FOUND when it is empty. */
enum status schema_check(struct sqlite3 *db, const char *path, bool *older, struct error *err);

/* Brings the file to this program's version, in one transaction. STATUS_UNSUPPORTED when it was
 * written by a newer one, STATUS_FORMAT when it holds something else. */
enum status schema_migrate(struct sqlite3 *db, const char *path, struct error *err);

#endif
