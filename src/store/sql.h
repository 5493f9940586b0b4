/* SQLite with Prony's errors: statements prepared, bound and stepped, each failure named. */
#ifndef PRONY_STORE_SQL_H
#define PRONY_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The database's last problem as an error: full disk, read-only, busy, damaged, with its path. */
enum status sql_error(sqlite3 *db, struct error *err);
/* Statements without results; several are separated by semicolons. */
enum status sql_run(sqlite3 *db, const char *sql, struct error *err);
/* The first column of the first row. */
enum status sql_integer(sqlite3 *db, const char *sql, int64_t *value, struct error *err);
enum status sql_prepare(sqlite3 *db, sqlite3_stmt **statement, const char *sql, struct error *err);
/* Steps to the next row; *row says whether there is one. */
enum status sql_step(sqlite3_stmt *statement, bool *row, struct error *err);
/* Runs a statement that gives no rows, and makes it ready to be bound again. */
enum status sql_execute(sqlite3_stmt *statement, struct error *err);

/* Binds the next parameter (*at counts them); a NULL text is SQL's NULL. Failures show when the
 * statement is stepped. */
void sql_bind_integer(sqlite3_stmt *statement, int *at, int64_t value);
void sql_bind_real(sqlite3_stmt *statement, int *at, double value);
void sql_bind_text(sqlite3_stmt *statement, int *at, const char *text);

#endif
