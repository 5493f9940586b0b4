#include "store/sql.h"

#include <math.h>

enum status sql_error(sqlite3 *db, struct error *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    const char *remedy = NULL;
    enum status status = STATUS_IO;
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_FULL:
        remedy = "Free some space there, or name another file with PRONY_STORE=FILE.";
        break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        remedy = "Make the file and its folder writable, or name another file with "
                 "PRONY_STORE=FILE.";
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        remedy = "Another program holds the file: wait for it, or name another file with "
                 "PRONY_STORE=FILE.";
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        status = STATUS_FORMAT;
        remedy = "Move the file away, or name another one with PRONY_STORE=FILE.";
        break;
    case SQLITE_NOMEM:
        status = STATUS_NO_MEMORY;
        break;
    }
    error_set(err, status, "the results cannot be stored or read: %s", sqlite3_errmsg(db));
    if (path && *path)
        error_where(err, "%s", path);
    if (remedy)
        error_remedy(err, "%s", remedy);
    return status;
}

enum status sql_run(sqlite3 *db, const char *sql, struct error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? STATUS_OK : sql_error(db, err);
}

enum status sql_integer(sqlite3 *db, const char *sql, int64_t *value, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = sql_prepare(db, &statement, sql, err);
    if (!status)
        status = sql_step(statement, &row, err);
    if (!status)
        *value = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

enum status sql_prepare(sqlite3 *db, sqlite3_stmt **statement, const char *sql, struct error *err)
{
    int code = sqlite3_prepare_v2(db, sql, -1, statement, NULL);
    return code == SQLITE_OK ? STATUS_OK : sql_error(db, err);
}

enum status sql_step(sqlite3_stmt *statement, bool *row, struct error *err)
{
    int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return STATUS_OK;
    return sql_error(sqlite3_db_handle(statement), err);
}

enum status sql_execute(sqlite3_stmt *statement, struct error *err)
{
    bool row;
    enum status status = sql_step(statement, &row, err);
    sqlite3_reset(statement);
    return status;
}

void sql_bind_integer(sqlite3_stmt *statement, int *at, int64_t value)
{
    sqlite3_bind_int64(statement, ++*at, value);
}

/* SQLite has no NaN: it would become NULL, which the schema refuses. */
void sql_bind_real(sqlite3_stmt *statement, int *at, double value)
{
    sqlite3_bind_double(statement, ++*at, isfinite(value) ? value : 0);
}

void sql_bind_text(sqlite3_stmt *statement, int *at, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, ++*at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, ++*at);
}
